"""Security headers, and a content policy that allows exactly the inline scripts a build contains."""

import base64
import hashlib
from pathlib import Path

import httpx
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from phantom_app.headers import SecurityHeaders, build_hashes, content_policy, script_hashes


def source(script: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"


class TestHashes:
    def test_inline_scripts_with_and_without_attributes(self) -> None:
        html = '<script>a()</script><p></p><script type="module" async="">\nimport "b"\n</script><SCRIPT>c</SCRIPT>'
        assert script_hashes(html) == {source("a()"), source('\nimport "b"\n'), source("c")}

    def test_scripts_with_a_source_need_none(self) -> None:
        assert script_hashes('<script src="/x.js"></script>') == set()

    def test_all_documents_of_a_build(self, tmp_path: Path) -> None:
        (tmp_path / "page").mkdir()
        (tmp_path / "index.html").write_text("<script>a</script>")
        (tmp_path / "page" / "index.html").write_text("<script>a</script><script>b</script>")
        assert build_hashes(tmp_path) == sorted({source("a"), source("b")})


class TestPolicy:
    def test_nothing_may_be_evaluated_or_framed(self) -> None:
        policy = content_policy([source("a")])
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert scripts == f"script-src 'self' {source('a')}"
        assert "unsafe-eval" not in policy
        assert "frame-ancestors 'none'" in policy


async def answer(response: Response, path: str = "/", *, https: bool = False) -> httpx.Headers:
    """The headers that leave the house when the application answers with `response`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    transport = httpx.ASGITransport(SecurityHeaders(app, "default-src 'self'", https=https))
    async with httpx.AsyncClient(transport=transport, base_url="http://phantom") as client:
        return (await client.get(path)).headers


class TestSecurityHeaders:
    async def test_a_document_gets_everything(self) -> None:
        headers = await answer(HTMLResponse("x"))
        assert headers["content-security-policy"] == "default-src 'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "strict-transport-security" not in headers

    async def test_https_is_kept(self) -> None:
        assert "max-age" in (await answer(HTMLResponse("x"), https=True))["strict-transport-security"]

    async def test_a_route_with_its_own_policy_keeps_it(self) -> None:
        own = HTMLResponse("x", headers={"content-security-policy": "default-src 'none'"})
        assert (await answer(own))["content-security-policy"] == "default-src 'none'"

    async def test_only_hashed_files_are_kept_for_ever(self) -> None:
        script = Response("x", media_type="text/javascript")
        assert "immutable" in (await answer(script, "/assets/root-BVes_1Eo.js"))["cache-control"]
        assert "cache-control" not in await answer(script, "/favicon.svg")

    async def test_data_gets_no_content_policy(self) -> None:
        assert "content-security-policy" not in await answer(JSONResponse({}))
