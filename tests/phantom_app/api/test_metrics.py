"""/metrics over HTTP: who gets it, and that each request is told by its template."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from core import metrics
from core.config import Settings
from phantom_app.api import hot
from phantom_app.api.metrics import Timed
from services.operations import service as operations
from tests.services.handshake.support import CONNECT_SECRET, body, connect_account, signed
from tests.support import environment

pytestmark = pytest.mark.usefixtures("database", "redis_url")


def client(app: object, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(peer, 4711), raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://phantom.test")


@pytest.fixture
async def scraper(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    operations.forget()
    async with client(Timed(api)) as opened:
        yield opened


def told(sample: str) -> float:
    lines = metrics.render().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample + " ")), 0.0)


class TestReading:
    async def test_a_neighbour_reads(self, scraper: httpx.AsyncClient) -> None:
        answer = await scraper.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "phantom_database_up 1.0" in answer.text

    async def test_to_strangers_there_is_no_such_page(self, api: FastAPI, scraper: httpx.AsyncClient) -> None:
        async with client(api, peer="8.8.8.8") as stranger:
            assert (await stranger.get("/metrics")).status_code == 404
        assert (await scraper.get("/metrics", headers={"x-forwarded-for": "10.0.0.1"})).status_code == 404

    async def test_a_neighbour_reads_in_a_demo_alone(self, api: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
        operations.forget()
        async with client(api, peer="10.1.2.3") as neighbour:
            assert (await neighbour.get("/metrics")).status_code == 200
            monkeypatch.setattr(Settings, "is_demo", property(lambda _self: False))
            assert (await neighbour.get("/metrics")).status_code == 404
        async with client(api) as this_host:
            assert (await this_host.get("/metrics")).status_code == 200

    async def test_a_token_opens_it_from_anywhere(self, api: FastAPI) -> None:
        with environment.changed(METRICS_TOKEN="s3cret-s3cret"):
            async with client(api, peer="8.8.8.8") as prometheus:
                given = {"authorization": "Bearer s3cret-s3cret", "x-forwarded-for": "1.2.3.4"}
                assert (await prometheus.get("/metrics", headers=given)).status_code == 200
                assert (await prometheus.get("/metrics")).status_code == 404
            async with client(api) as neighbour:
                assert (await neighbour.get("/metrics")).status_code == 404


class TestTimed:
    async def test_a_route_is_told_by_its_template(self, scraper: httpx.AsyncClient) -> None:
        sample = 'phantom_http_request_seconds_count{method="GET",route="/r/{token}",status="404"}'
        before = told(sample)
        for token in ("one", "two"):
            assert (await scraper.get(f"/r/{token}")).status_code == 404
        assert told(sample) == before + 2

    async def test_nothing_a_caller_chooses_becomes_a_label(self, scraper: httpx.AsyncClient) -> None:
        await scraper.get("/no-such-page-4711")
        await scraper.request("BREW4711", "/health")
        labels = [line.rpartition("} ")[0] for line in metrics.render().decode().splitlines()]  # a figure may hold it
        assert not [each for each in labels if "4711" in each]

    async def test_what_fails_is_told_too(self) -> None:
        async def broken(*_: object) -> None:
            raise ZeroDivisionError

        sample = 'phantom_http_request_seconds_count{method="GET",route="(broken)",status="499"}'
        async with client(Timed(broken, "(broken)")) as caller:
            await caller.get("/")
        assert told(sample) == 1


class TestIntake:
    async def test_each_delivery_by_what_became_of_it(self) -> None:
        names = ("stored", "ignored", "bad_signature", "not_an_event")
        before = {name: told(f'phantom_intake_seconds_count{{outcome="{name}"}}') for name in names}
        connect_account()
        async with hot.lifespan(), client(Starlette(routes=hot.routes())) as stripe:
            for raw in (body(), json.dumps({"id": "evt_9", "type": "charge.captured"}).encode(), b"[]"):
                given = {"stripe-signature": signed(raw, CONNECT_SECRET)}
                await stripe.post(hot.CONNECT_PATH, content=raw, headers=given)
            await stripe.post(hot.CONNECT_PATH, content=b"{}", headers={"stripe-signature": "t=1,v1=00"})
        after = {name: told(f'phantom_intake_seconds_count{{outcome="{name}"}}') for name in names}
        assert {name: after[name] - before[name] for name in names} == dict.fromkeys(names, 1)
