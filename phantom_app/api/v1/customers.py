"""`/api/v1/customers`: forget a customer who asks for it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from core import clock, db, queue
from phantom_app.api.v1.callers import LONGEST_BODY, PROBLEMS, caller
from services.identity.api_keys import ApiCaller, ApiScope
from services.recovery import purge
from services.recovery.errors import CustomerNotFoundError

LONGEST_ID = 64

router = APIRouter(prefix="/api/v1/customers", tags=["Customers"], max_body_size=LONGEST_BODY, responses=PROBLEMS)
Caller = Annotated[ApiCaller, Depends(caller)]


@router.delete("/{customer_id:path}", summary="Erase a customer")
def erase(who: Caller, customer_id: str) -> dict[str, Any]:
    """Forget a customer (by their id at Stripe) at once and for ever: name, addresses, card digits, messages.

    Amounts and dates stay, and nothing of this customer is imported again. Safe to repeat: the answer is the same.
    Scope `customers:erase`, which only an owner can give to a key. 404 for a customer who is not known here.
    """
    who.require(ApiScope.CUSTOMERS_ERASE)
    if not 0 < len(customer_id) <= LONGEST_ID or "\x00" in customer_id:
        raise CustomerNotFoundError
    with db.tenant_session(who.merchant_id) as session:
        ghosts = purge.erase_known_customer(session, who.merchant_id, customer_id, clock.now(), actor_id=who.name)
    queue.announce_change(who.merchant_id)
    return {"object": "customer", "id": customer_id, "erased": True, "ghosts": ghosts}
