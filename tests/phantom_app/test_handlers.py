"""Every handler a socket can name says who may call it; a new one without a declaration fails here."""

import pytest

import phantom_app.phantom_app  # noqa: F401  # registers every state
from phantom_app import runtime
from phantom_app.guard import PUBLIC, SIGNED_IN, declaration
from services.identity.permissions import Permission

# What anyone may call. Adding a line here is a decision about security: such a handler must not read a tenant.
PUBLIC_HANDLERS = {
    "phantom_app___state___shell____shell.visit",
    "phantom_app___state___shell____shell.report_failure",
    "phantom_app___state___shell____shell.dismiss_problem",
    "phantom_app___state___sign_in____sign_in.load",
}


def own_handlers() -> dict[str, object]:
    """The handlers of our own states, without what Reflex gives to every state."""
    return {
        name: handler
        for name, handler in runtime.declared_handlers().items()
        if "phantom_app___" in name and not name.endswith(".setvar")
    }


class TestDeclarations:
    def test_there_are_handlers(self) -> None:
        assert len(own_handlers()) > 20

    @pytest.mark.parametrize("name", sorted(own_handlers()))
    def test_handler_declares_who_may_call_it(self, name: str) -> None:
        declared = declaration(own_handlers()[name])
        assert declared in {PUBLIC, SIGNED_IN, *Permission}, f"{name} has no declaration"

    def test_public_handlers_are_the_known_ones(self) -> None:
        found = {name.split(".", 1)[1] for name, handler in own_handlers().items() if declaration(handler) == PUBLIC}
        assert found == PUBLIC_HANDLERS

    def test_setvar_is_declared_nowhere(self) -> None:
        setters = [handler for name, handler in runtime.declared_handlers().items() if name.endswith("setvar")]
        assert setters
        assert all(declaration(handler) is None for handler in setters)


class TestFrameworkHandlers:
    def test_each_allowed_name_exists(self) -> None:
        assert set(runtime.declared_handlers()) >= runtime.FRAMEWORK_HANDLERS

    def test_nothing_of_the_framework_is_new(self) -> None:
        """An upgrade that adds a handler is looked at before it can be called."""
        framework = {name for name in runtime.declared_handlers() if "phantom_app___" not in name}
        known = runtime.FRAMEWORK_HANDLERS | {name for name in framework if name.endswith(".setvar")}
        assert framework - known == set()
