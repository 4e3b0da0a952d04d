"""create the schema"""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("actor_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("action", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("target", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_audit_log")),
    )
    op.create_index(
        "ix_audit_log_recent", "audit_log", ["merchant_id", sa.literal_column("occurred_at desc")], unique=False
    )
    op.create_table(
        "billed_invoices",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(length=3), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("billed_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_billed_invoices")),
    )
    op.create_table(
        "clicks",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ghost_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("message_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_clicks")),
    )
    op.create_index("ix_clicks_ghost", "clicks", ["merchant_id", "ghost_id"], unique=False)
    op.create_table(
        "daily_metrics",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(length=3), nullable=False),
        sa.Column("billed_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("billed_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("found_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("found_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("recovered_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("recovered_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("protected_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("protected_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lost_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lost_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reversed_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reversed_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("messages_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("clicks_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cohort_messaged_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cohort_clicked_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cohort_recovered_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cohort_recovered_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cohort_reversed_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "day", "currency", name=op.f("pk_daily_metrics")),
    )
    op.create_table(
        "ghost_events",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ghost_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=48), nullable=False),
        sa.Column("from_state", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("to_state", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_ghost_events")),
    )
    op.create_index("ix_ghost_events_ghost", "ghost_events", ["merchant_id", "ghost_id", "occurred_at"], unique=False)
    op.create_table(
        "ghost_targets",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("paused_from", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=True),
        sa.Column("found_via", sa.String(length=32), nullable=False),
        sa.Column("invoice_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("subscription_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("customer_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("payment_intent_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("payment_method_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("customer_email", sqlmodel.sql.sqltypes.AutoString(length=512), nullable=True),
        sa.Column("customer_name", sqlmodel.sql.sqltypes.AutoString(length=512), nullable=True),
        sa.Column("customer_phone", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("customer_language", sqlmodel.sql.sqltypes.AutoString(length=35), nullable=False),
        sa.Column("customer_country", sqlmodel.sql.sqltypes.AutoString(length=2), nullable=False),
        sa.Column("card_brand", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("card_funding", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("card_last4", sqlmodel.sql.sqltypes.AutoString(length=4), nullable=False),
        sa.Column("country_code", sqlmodel.sql.sqltypes.AutoString(length=2), nullable=False),
        sa.Column("requires_3ds", sa.Boolean(), nullable=False),
        sa.Column("stripe_error_code", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("decline_code", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("advice_code", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("decline_group", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("api_shape", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("original_invoice_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_payment_attempt", sa.DateTime(timezone=True), nullable=True),
        sa.Column("billing_reason", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("subscription_status", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(length=3), nullable=False),
        sa.Column("monthly_value_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("shadow_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("strategy", sa.String(length=32), nullable=False),
        sa.Column("strategy_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("last_action", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("last_action_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_action", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("next_action_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_action_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("messages_sent", sa.Integer(), server_default="0", nullable=False),
        sa.Column("click_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_clicked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found_on", sa.Date(), nullable=False),
        sa.Column("contacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_reason", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("recovered_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("mechanism", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("last_presence_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_ghost_targets")),
        sa.UniqueConstraint("merchant_id", "invoice_id", name=op.f("uq_ghost_targets_merchant_id_invoice_id")),
    )
    op.create_index(
        "ix_ghost_targets_amount",
        "ghost_targets",
        ["merchant_id", sa.literal_column("amount_cents desc"), "id"],
        unique=False,
    )
    op.create_index("ix_ghost_targets_customer", "ghost_targets", ["merchant_id", "customer_id"], unique=False)
    op.create_index(
        "ix_ghost_targets_due",
        "ghost_targets",
        ["merchant_id", "next_action_at"],
        unique=False,
        postgresql_where=sa.text("next_action_at is not null"),
    )
    op.create_index(
        "ix_ghost_targets_found",
        "ghost_targets",
        ["merchant_id", sa.literal_column("found_at desc"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_ghost_targets_state",
        "ghost_targets",
        ["merchant_id", "state", sa.literal_column("found_at desc"), "id"],
        unique=False,
    )
    op.create_index("ix_ghost_targets_subscription", "ghost_targets", ["merchant_id", "subscription_id"], unique=False)
    op.create_table(
        "hunt_spool",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("hunt_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("object_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "hunt_id", "object_id", name=op.f("pk_hunt_spool")),
    )
    op.create_table(
        "hunts",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("trigger", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sweep", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("listed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("found", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unreadable", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_hunts")),
    )
    op.create_index("ix_hunts_recent", "hunts", ["merchant_id", sa.literal_column("started_at desc")], unique=False)
    op.create_table(
        "link_tokens",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("ghost_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("message_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_tokens")),
    )
    op.create_index("ix_link_tokens_message", "link_tokens", ["merchant_id", "message_id"], unique=False)
    op.create_table(
        "manual_tasks",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ghost_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("assignee_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_manual_tasks")),
        sa.UniqueConstraint("merchant_id", "ghost_id", name=op.f("uq_manual_tasks_merchant_id_ghost_id")),
    )
    op.create_index("ix_manual_tasks_open", "manual_tasks", ["merchant_id", "state", "created_at"], unique=False)
    op.create_table(
        "memberships",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("user_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"], unique=False)
    op.create_table(
        "merchant_totals",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(length=3), nullable=False),
        sa.Column("leakage_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("shadow_leakage_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("impending_leakage_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("recovered_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("protected_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("open_ghosts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("impending_ghosts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "currency", name=op.f("pk_merchant_totals")),
    )
    op.create_table(
        "merchants",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("stripe_user_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("credential_mode", sa.String(length=32), nullable=False),
        sa.Column("oauth_scope", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("encrypted_token", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("iv", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("tag", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("wrapped_key", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("key_version", sa.Integer(), nullable=True),
        sa.Column("encrypted_refresh_token", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("refresh_iv", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("refresh_tag", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("refresh_wrapped_key", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("plan", sa.String(length=32), nullable=False),
        sa.Column("default_currency", sqlmodel.sql.sqltypes.AutoString(length=3), nullable=False),
        sa.Column("country", sqlmodel.sql.sqltypes.AutoString(length=2), nullable=False),
        sa.Column("timezone", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("reply_to", sqlmodel.sql.sqltypes.AutoString(length=320), nullable=False),
        sa.Column("brand", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disconnected_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchants")),
    )
    op.create_table(
        "messages",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ghost_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("template", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("language", sqlmodel.sql.sqltypes.AutoString(length=8), nullable=False),
        sa.Column("recipient", sqlmodel.sql.sqltypes.AutoString(length=512), nullable=True),
        sa.Column("sender", sqlmodel.sql.sqltypes.AutoString(length=512), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("html", sa.Text(), server_default="", nullable=False),
        sa.Column("plain", sa.Text(), server_default="", nullable=False),
        sa.Column("idempotency_key", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("provider", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("provider_message_id", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("intent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_messages")),
        sa.UniqueConstraint(
            "merchant_id", "ghost_id", "step", "channel", name=op.f("uq_messages_merchant_id_ghost_id_step_channel")
        ),
    )
    op.create_index("ix_messages_due", "messages", ["merchant_id", "state", "due_at"], unique=False)
    op.create_index(
        "ix_messages_recent", "messages", ["merchant_id", sa.literal_column("created_at desc"), "id"], unique=False
    )
    op.create_table(
        "oauth_states",
        sa.Column("state_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("browser_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("user_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=True),
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=True),
        sa.Column("code_verifier", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_oauth_states")),
    )
    op.create_index(op.f("ix_oauth_states_expires_at"), "oauth_states", ["expires_at"], unique=False)
    op.create_table(
        "payment_attempts",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ghost_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("invoice_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("idempotency_key", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("payment_method_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("card_brand", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("decline_code", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_payment_attempts")),
        sa.UniqueConstraint(
            "merchant_id", "idempotency_key", name=op.f("uq_payment_attempts_merchant_id_idempotency_key")
        ),
    )
    op.create_index(
        "ix_payment_attempts_ghost", "payment_attempts", ["merchant_id", "ghost_id", "attempted_at"], unique=False
    )
    op.create_table(
        "processed_events",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=255), nullable=False),
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column("type", sqlmodel.sql.sqltypes.AutoString(length=120), nullable=False),
        sa.Column("account", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sqlmodel.sql.sqltypes.AutoString(length=48), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processed_events")),
    )
    op.create_index("ix_processed_events_received", "processed_events", ["received_at"], unique=False)
    op.create_index(
        "ix_processed_events_unhandled",
        "processed_events",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("handled_at is null"),
    )
    op.create_table(
        "recoveries",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ghost_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(length=3), nullable=False),
        sa.Column("mechanism", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("message_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_recoveries")),
        sa.UniqueConstraint(
            "merchant_id",
            "ghost_id",
            "kind",
            "source_id",
            name=op.f("uq_recoveries_merchant_id_ghost_id_kind_source_id"),
        ),
    )
    op.create_index(
        "ix_recoveries_recent", "recoveries", ["merchant_id", sa.literal_column("occurred_at desc"), "id"], unique=False
    )
    op.create_table(
        "scheduled_tasks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=48), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=True),
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default="5", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_owner", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("correlation_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduled_tasks")),
    )
    op.create_index(
        "ix_scheduled_tasks_claim",
        "scheduled_tasks",
        [sa.literal_column("priority desc"), "run_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_scheduled_tasks_finished",
        "scheduled_tasks",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("state = 'done'"),
    )
    op.create_index(
        "ix_scheduled_tasks_lease",
        "scheduled_tasks",
        ["leased_until"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index("ix_scheduled_tasks_merchant", "scheduled_tasks", ["merchant_id", "state", "run_at"], unique=False)
    op.create_index("uq_scheduled_tasks_key", "scheduled_tasks", ["key"], unique=True)
    op.create_table(
        "sessions",
        sa.Column("token_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("user_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_agent", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "stripe_accounts",
        sa.Column("stripe_user_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disconnected_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("stripe_user_id", name=op.f("pk_stripe_accounts")),
    )
    op.create_index(op.f("ix_stripe_accounts_merchant_id"), "stripe_accounts", ["merchant_id"], unique=False)
    op.create_table(
        "suppressions",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("address_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel", "address_hash", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "system_logs",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("level", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("event", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_system_logs")),
    )
    op.create_index(
        "ix_system_logs_recent",
        "system_logs",
        ["merchant_id", sa.literal_column("occurred_at desc"), "id"],
        unique=False,
    )
    op.create_table(
        "users",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("email", sqlmodel.sql.sqltypes.AutoString(length=320), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("password_hash", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_email_lower", "users", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "vault_secrets",
        sa.Column("merchant_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("ciphertext", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("iv", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column("tag", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("wrapped_key", sqlmodel.sql.sqltypes.AutoString(length=256), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "name", name=op.f("pk_vault_secrets")),
    )


def downgrade() -> None:
    op.drop_table("vault_secrets")
    op.drop_index("uq_users_email_lower", table_name="users")
    op.drop_table("users")
    op.drop_index("ix_system_logs_recent", table_name="system_logs")
    op.drop_table("system_logs")
    op.drop_table("suppressions")
    op.drop_index(op.f("ix_stripe_accounts_merchant_id"), table_name="stripe_accounts")
    op.drop_table("stripe_accounts")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_expires_at"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_index("uq_scheduled_tasks_key", table_name="scheduled_tasks")
    op.drop_index("ix_scheduled_tasks_merchant", table_name="scheduled_tasks")
    op.drop_index(
        "ix_scheduled_tasks_lease", table_name="scheduled_tasks", postgresql_where=sa.text("state = 'running'")
    )
    op.drop_index(
        "ix_scheduled_tasks_finished", table_name="scheduled_tasks", postgresql_where=sa.text("state = 'done'")
    )
    op.drop_index(
        "ix_scheduled_tasks_claim", table_name="scheduled_tasks", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_table("scheduled_tasks")
    op.drop_index("ix_recoveries_recent", table_name="recoveries")
    op.drop_table("recoveries")
    op.drop_index(
        "ix_processed_events_unhandled", table_name="processed_events", postgresql_where=sa.text("handled_at is null")
    )
    op.drop_index("ix_processed_events_received", table_name="processed_events")
    op.drop_table("processed_events")
    op.drop_index("ix_payment_attempts_ghost", table_name="payment_attempts")
    op.drop_table("payment_attempts")
    op.drop_index(op.f("ix_oauth_states_expires_at"), table_name="oauth_states")
    op.drop_table("oauth_states")
    op.drop_index("ix_messages_recent", table_name="messages")
    op.drop_index("ix_messages_due", table_name="messages")
    op.drop_table("messages")
    op.drop_table("merchants")
    op.drop_table("merchant_totals")
    op.drop_index(op.f("ix_memberships_user_id"), table_name="memberships")
    op.drop_table("memberships")
    op.drop_index("ix_manual_tasks_open", table_name="manual_tasks")
    op.drop_table("manual_tasks")
    op.drop_index("ix_link_tokens_message", table_name="link_tokens")
    op.drop_table("link_tokens")
    op.drop_index("ix_hunts_recent", table_name="hunts")
    op.drop_table("hunts")
    op.drop_table("hunt_spool")
    op.drop_index("ix_ghost_targets_subscription", table_name="ghost_targets")
    op.drop_index("ix_ghost_targets_state", table_name="ghost_targets")
    op.drop_index("ix_ghost_targets_found", table_name="ghost_targets")
    op.drop_index(
        "ix_ghost_targets_due", table_name="ghost_targets", postgresql_where=sa.text("next_action_at is not null")
    )
    op.drop_index("ix_ghost_targets_customer", table_name="ghost_targets")
    op.drop_index("ix_ghost_targets_amount", table_name="ghost_targets")
    op.drop_table("ghost_targets")
    op.drop_index("ix_ghost_events_ghost", table_name="ghost_events")
    op.drop_table("ghost_events")
    op.drop_table("daily_metrics")
    op.drop_index("ix_clicks_ghost", table_name="clicks")
    op.drop_table("clicks")
    op.drop_table("billed_invoices")
    op.drop_index("ix_audit_log_recent", table_name="audit_log")
    op.drop_table("audit_log")
