"""The pages at `/` and `/docs`: files that nothing is put into, under a policy that runs no other script."""

from importlib.resources import files

from fastapi import FastAPI, Response

KINDS = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/attention.js": ("attention.js", "text/javascript"),
    "/shared.js": ("shared.js", "text/javascript"),
    "/docs": ("docs.html", "text/html"),
    "/docs.js": ("docs.js", "text/javascript"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def add_page(app: FastAPI) -> None:
    for path, (name, kind) in KINDS.items():
        content = files(__name__).joinpath(name).read_bytes()

        async def answer(content: bytes = content, kind: str = kind) -> Response:
            headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff",
                       "referrer-policy": "no-referrer", "cache-control": "no-cache"}  # fmt: skip
            return Response(content, media_type=kind, headers=headers)

        app.add_api_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)
