"""Whose deliveries are believed."""

from datetime import UTC, datetime, timedelta

import pytest
import stripe

from services.handshake.errors import SignatureError
from services.handshake.signature import verify
from tests.services.handshake.support import digest

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
T = int(NOW.timestamp())
RAW = b'{"id": "evt_1"}'
NEW, OLD = "whsec_new", "whsec_old"
GOOD = digest(RAW, NEW, T)


class TestAccepted:
    @pytest.mark.parametrize(
        ("header", "secrets"),
        [
            pytest.param(f"t={T},v1={GOOD}", [NEW], id="one signature"),
            pytest.param(f"v1={GOOD},t={T}", [NEW], id="any order"),
            pytest.param(f"t={T},v1={GOOD}", [OLD, NEW], id="secret rolled here"),
            pytest.param(f"t={T},v1={digest(RAW, OLD, T)},v1={GOOD}", [NEW], id="secret rolled at Stripe"),
            pytest.param(f"t={T},v0={'0' * 64},v1={GOOD},v2=x", [NEW], id="other schemes ignored"),
            pytest.param(f"t={T},v1=zz,v1={GOOD}", [NEW], id="a garbled signature beside a good one"),
            pytest.param(f"t={T},v1={GOOD}", ["", NEW], id="empty secret skipped"),
        ],
    )
    def test_genuine(self, header, secrets):
        verify(RAW, header, secrets, NOW)

    @pytest.mark.parametrize("seconds", [-300, 0, 300])
    def test_up_to_five_minutes_either_way(self, seconds):
        verify(RAW, f"t={T},v1={GOOD}", [NEW], NOW + timedelta(seconds=seconds))

    def test_what_the_vendors_own_library_signs(self):
        header = stripe.WebhookSignature.generate_signature_header(RAW.decode(), NEW, timestamp=T)
        verify(RAW, header, [NEW], NOW)


class TestRefused:
    @pytest.mark.parametrize(
        "header",
        [
            pytest.param("", id="missing"),
            pytest.param("nonsense", id="nonsense"),
            pytest.param(f"v1={GOOD}", id="no timestamp"),
            pytest.param(f"t=,v1={GOOD}", id="empty timestamp"),
            pytest.param(f"t={T},t={T},v1={GOOD}", id="two timestamps"),
            pytest.param(f"t=+{T},v1={GOOD}", id="signed timestamp"),
            pytest.param(f"t= {T},v1={GOOD}", id="spaced timestamp"),
            pytest.param(f"t={T}.0,v1={GOOD}", id="fractional timestamp"),
            pytest.param(f"t=\u00b2{T},v1={GOOD}", id="superscript digit"),
            pytest.param(f"t={'9' * 40},v1={GOOD}", id="endless timestamp"),
            pytest.param(f"t={T}", id="no signature"),
            pytest.param(f"t={T},v1=", id="empty signature"),
            pytest.param(f"t={T},v0={GOOD}", id="only v0"),
            pytest.param(f"t={T},v1={GOOD.upper()}", id="upper case"),
            pytest.param(f"t={T},v1={GOOD[:-1]}", id="cut short"),
            pytest.param(f"t={T},v1={GOOD}0", id="longer"),
            pytest.param(f"t={T},v1={GOOD[:-1]}\u00e9", id="not ASCII"),
            pytest.param(f"t={T},v1={'0' * 64}", id="wrong"),
            pytest.param(f"t={T - 1},v1={GOOD}", id="timestamp changed"),
            pytest.param(f"t={T},v1={digest(RAW, OLD, T)}", id="another secret"),
            pytest.param(f"t={T},v1={digest(RAW, '', T)}", id="empty secret"),
            pytest.param(f"t={T},v1={GOOD}," + "v1=0," * 2000, id="huge header"),
        ],
    )
    def test_not_genuine(self, header):
        with pytest.raises(SignatureError):
            verify(RAW, header, [NEW], NOW)

    @pytest.mark.parametrize("seconds", [-301, 301])
    def test_stale_or_future(self, seconds):
        with pytest.raises(SignatureError, match="does not match") as caught:
            verify(RAW, f"t={T},v1={GOOD}", [NEW], NOW + timedelta(seconds=seconds))
        assert caught.value.reason == "outside the tolerance"

    @pytest.mark.parametrize("raw", [b"", RAW + b" ", RAW[:-1], RAW.replace(b"1", b"2")])
    def test_changed_body(self, raw):
        with pytest.raises(SignatureError):
            verify(raw, f"t={T},v1={GOOD}", [NEW], NOW)

    def test_no_secret_verifies_nothing(self):
        with pytest.raises(SignatureError):
            verify(RAW, f"t={T},v1={digest(RAW, '', T)}", ["", ""], NOW)
