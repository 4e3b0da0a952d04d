"""The HTTP API: everything but the screens and the two hot paths."""

from fastapi import FastAPI

from phantom_app.api import auth, connect, consents_upload, errors, export, health, links, metrics, senders
from phantom_app.api.correlation import Correlation
from phantom_app.api.v1 import consents, customers

DESCRIPTION = "/api/openapi.json"


def create_api(*, headless: bool = False) -> FastAPI:
    """The API as an ASGI application. `headless` leaves out what only a browser with our screens needs."""
    api = FastAPI(title="PHANTOM", version="1", docs_url=None, redoc_url=None, openapi_url=DESCRIPTION)
    api.state.headless = headless
    api.add_middleware(Correlation)
    errors.install(api)
    # Routes are tried one after the other: what comes in thousands stands first.
    for router in (senders.router, health.router, metrics.router, connect.router, links.router):
        api.include_router(router, include_in_schema=False)
    for public in (consents.router, customers.router):
        api.include_router(public)
    for router in (connect.start_router,) if headless else (auth.router, export.router, consents_upload.router):
        api.include_router(router, include_in_schema=False)
    return api
