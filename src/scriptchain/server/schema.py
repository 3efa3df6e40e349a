"""What requests and answers look like: the one source of what is checked and of the OpenAPI document."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..report import shown

Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Predict(Strict):
    texts: Annotated[list[str], Field(min_length=1, description="Texts to label; `limits` says how many and how long.")]
    all: Annotated[bool, Field(description="The probability of every class too.")] = False
    abstain_below: Annotated[Share, Field(description="No label where the score is lower.")] = 0.0
    labels_above: Annotated[Share | None, Field(description="All labels with such a score too.")] = None


class Explain(Strict):
    text: Annotated[str, Field(description="The text whose answer is explained.")]
    label: Annotated[str | None, Field(description="The class to explain; by default the one of the answer.")] = None


class Attend(Strict):
    text: Annotated[str, Field(description="The text that is read; its first 64 tokens are shown.")]


class Fault(BaseModel):
    code: str
    message: str
    request_id: str


class Failure(BaseModel):
    error: Fault


class Prediction(BaseModel):
    """Of one text; `error` where the model could not answer it, and nothing else then."""

    label: str | None = None
    score: float | None = None
    truncated: bool | None = None
    scores: dict[str, float] | None = None
    labels: list[str] | None = None
    error: str | None = None


class Predictions(BaseModel):
    model: Annotated[str, Field(description="Which model answered, as in /v1/model.")]
    predictions: list[Prediction]


class ExplainedWord(BaseModel):
    word: str
    start: int
    end: int
    weight: float | None


class Explained(BaseModel):
    model: str
    text: str
    label: str
    score: float
    words: list[ExplainedWord]
    deletion: float | None
    random: float | None


class Attended(BaseModel):
    model: str
    tokens: list[str]
    truncated: bool
    weights: Annotated[list[list[list[list[float]]]], Field(description="By layer, head, token, and token looked at.")]


def complaint(errors: list[Any]) -> str:
    """The first thing that is wrong, without what was sent."""
    first = errors[0]
    place = ".".join(shown(str(part), 40) for part in first["loc"] if first["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        return "the body must hold known fields alone, got another one"
    return f"{place or 'the body'}: {first['msg'][0].lower()}{first['msg'][1:]}"
