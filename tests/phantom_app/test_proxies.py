"""Whose address a request has, behind proxies and behind people who pretend to be one."""

import pytest
from starlette.types import Receive, Scope, Send

from core.config import address_of, load
from core.errors import ConfigurationError
from phantom_app.limits import POLICY_VIOLATION, Limits, SocketLimits
from phantom_app.proxies import MAX_HOPS, BehindProxies
from tests.phantom_app.test_limits import Clock, Inner, scope, talk

PROXIES = "10.0.0.0/8, fd00::/8, 192.0.2.7"
CLIENT = "203.0.113.9"


def networks(text: str = PROXIES):
    return load(trusted_proxies=text).trusted_proxies


async def seen(
    peer: str | None, *headers: tuple[str, str], kind: str = "http", scheme: str = "http", trusted: str = PROXIES
) -> tuple[str, str]:
    """The address and the scheme that the application is told."""
    found: list[Scope] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    async def nothing(*_: object) -> None:
        return None

    given: Scope = {
        "type": kind,
        "scheme": scheme,
        "client": (peer, 4000) if peer else None,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    await BehindProxies(inner, networks(trusted))(given, nothing, nothing)  # type: ignore[arg-type]
    [told] = found
    return (told["client"] or ("",))[0], told["scheme"]


def forwarded(value: str) -> tuple[str, str]:
    return "X-Forwarded-For", value


class TestCaller:
    @pytest.mark.parametrize(
        ("peer", "header", "caller"),
        [
            ("10.1.2.3", CLIENT, CLIENT),
            ("10.1.2.3", f"{CLIENT}:50123", CLIENT),
            ("10.1.2.3", f"{CLIENT}, 10.9.9.9, 192.0.2.7", CLIENT),
            ("10.1.2.3", f"6.6.6.6, {CLIENT}", CLIENT),  # what the caller put there itself stands further left
            ("10.1.2.3", f"10.6.6.6, {CLIENT}, 10.9.9.9", CLIENT),
            ("::ffff:10.1.2.3", CLIENT, CLIENT),
            ("fd00::5", "2001:db8::1", "2001:db8::1"),
            ("fd00::5", "[2001:db8::1]:443", "2001:db8::1"),
            ("10.1.2.3", "10.5.5.5", "10.5.5.5"),  # a call from inside: the first of our own
            ("10.1.2.3", "unknown", "10.1.2.3"),
            ("10.1.2.3", f"{CLIENT}, <script>, 10.9.9.9", "10.9.9.9"),
            ("10.1.2.3", " , ", "10.1.2.3"),
        ],
    )
    async def test_is_the_right_most_that_is_no_proxy(self, peer: str, header: str, caller: str) -> None:
        assert (await seen(peer, forwarded(header)))[0] == caller

    @pytest.mark.parametrize("peer", [CLIENT, "192.0.2.8", "11.0.0.1", "2001:db8::1", "not an address"])
    async def test_a_stranger_forges_nothing(self, peer: str) -> None:
        told = await seen(peer, forwarded("127.0.0.1"), ("X-Forwarded-Proto", "https"))
        assert told == (peer, "http")

    async def test_without_the_header_it_is_the_peer(self) -> None:
        assert await seen("10.1.2.3") == ("10.1.2.3", "http")
        assert await seen(None, forwarded(CLIENT)) == ("", "http")

    async def test_several_lines_are_one_list(self) -> None:
        assert (await seen("10.1.2.3", forwarded("6.6.6.6"), forwarded(f"{CLIENT}, 10.9.9.9")))[0] == CLIENT

    async def test_a_list_of_proxies_without_end_is_cut(self) -> None:
        longer = ", ".join([CLIENT, *["10.9.9.9"] * MAX_HOPS])
        assert (await seen("10.1.2.3", forwarded(longer)))[0] == "10.9.9.9"


class TestScheme:
    @pytest.mark.parametrize(
        ("kind", "scheme", "said", "told"),
        [
            ("http", "http", "https", "https"),
            ("http", "http", "HTTPS", "https"),
            ("http", "http", "http, https", "https"),
            ("http", "http", "https, http", "http"),  # what the nearest proxy heard
            ("http", "http", "gopher", "http"),
            ("websocket", "ws", "https", "wss"),
            ("websocket", "ws", "wss", "wss"),
            ("websocket", "ws", "", "ws"),
        ],
    )
    async def test_is_the_nearest_proxys(self, kind: str, scheme: str, said: str, told: str) -> None:
        assert (await seen("10.1.2.3", ("X-Forwarded-Proto", said), kind=kind, scheme=scheme))[1] == told


class TestSetting:
    @pytest.mark.parametrize(
        "text", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "proxy.internal", "10.0.0.0/33", "10.0.0.0/8;"]
    )
    def test_refuses_what_it_cannot_mean(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="TRUSTED_PROXIES"):
            load(trusted_proxies=text)

    def test_takes_networks_and_addresses(self) -> None:
        assert [str(network) for network in networks()] == ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]
        assert networks("") == ()

    @pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "::1]:2", "x:1", "[]:80", "1.2.3.4:5:6"])
    def test_what_is_no_address_is_none(self, text: str) -> None:
        assert address_of(text) is None


class TestDoorBehindAProxy:
    async def test_one_caller_does_not_use_up_the_others(self) -> None:
        door = SocketLimits(Inner(), Limits(connects_per_second=1, connect_burst=2), Clock())
        behind = BehindProxies(door, networks())

        async def connect(caller: str) -> int:
            given = scope(address="10.0.0.1")
            given["scheme"] = "ws"
            given["headers"] = [*given["headers"], (b"x-forwarded-for", caller.encode())]
            code: int = (await talk(behind, given))[0]["code"]
            return code

        assert [await connect("203.0.113.1") for _ in range(3)] == [1000, 1000, POLICY_VIOLATION]
        assert await connect("203.0.113.2") == 1000

    @pytest.mark.parametrize(
        ("public", "origin", "code"),
        [
            ("https://phantom.example", "https://phantom.example", 1000),
            ("https://phantom.example:443/", "https://phantom.example", 1000),
            ("https://phantom.example", "http://phantom.example", POLICY_VIOLATION),
            ("https://phantom.example", "https://evil.example", POLICY_VIOLATION),
            ("", "https://phantom.example", POLICY_VIOLATION),
        ],
    )
    async def test_our_public_origin_is_ours_whatever_host_a_proxy_says(
        self, public: str, origin: str, code: int
    ) -> None:
        door = SocketLimits(Inner(), origin=public)
        assert (await talk(door, scope(origin, host="web-2.internal:3000")))[0]["code"] == code
