"""Sign-in and role assignments of Resource Manager.

Source: Azure RBAC docs; error codes and statuses as in "Troubleshoot common Azure deployment errors".
"""

from __future__ import annotations

from local.azure.arm.errors import arm_error
from local.azure.call import Call, Caller, Refusal
from local.azure.demo.identities import ARM_AUDIENCES
from local.azure.directory import Directory, Grant
from local.azure.entra.tokens import TokenProblem, Tokens
from local.azure.inventory import Inventory, subscription_id


class Access:
    """Who calls, and what they may do where. Role assignments count at once; real ones take minutes."""

    def __init__(self, tokens: Tokens, inventory: Inventory) -> None:
        self._tokens = tokens
        self._inventory = inventory

    @property
    def _directory(self) -> Directory:
        return self._tokens.directory

    def sign_in(self, call: Call) -> Caller:
        """Check the access token.

        Raises:
            Refusal: 401, with the challenge that clients of Resource Manager know.
        """
        try:
            return self._tokens.check(call.headers.get("Authorization", ""), ARM_AUDIENCES)
        except TokenProblem as problem:
            challenge = (
                'Bearer authorization_uri="https://login.windows.net/common", error="invalid_token", '
                f'error_description="{problem.text}"'
            )
            raise arm_error(401, problem.code, problem.text, ("WWW-Authenticate", challenge)) from problem

    def require(self, caller: Caller, action: str, scope: str) -> None:
        """Let the caller do something at a scope.

        Raises:
            Refusal: 404 for an unknown subscription, 401 for one of another tenant, 403 without a role.
        """
        subscription = subscription_id(scope)
        if subscription:
            found = self._inventory.subscriptions.get(subscription)
            if found is None:
                text = f"The subscription '{subscription}' could not be found."
                raise arm_error(404, "SubscriptionNotFound", text)
            if found.tenant != caller.tenant:
                text = (
                    f"The access token is from the wrong issuer 'https://sts.windows.net/{caller.tenant}/'. It must "
                    f"match the tenant 'https://sts.windows.net/{found.tenant}/' associated with this subscription."
                )
                challenge = (
                    f'Bearer authorization_uri="https://login.windows.net/{found.tenant}", error="invalid_token"'
                )
                raise arm_error(401, "InvalidAuthenticationTokenTenant", text, ("WWW-Authenticate", challenge))
        if not self.allowed(caller, action, scope):
            raise forbidden(caller, action, scope)

    def allowed(self, caller: Caller, action: str, scope: str) -> bool:
        """Does a role assignment of the caller cover the action at the scope?"""
        return any(grant.allows(action) for grant in self.grants(caller, scope))

    def grants(self, caller: Caller, scope: str) -> list[Grant]:
        """The caller's role assignments that hold at a scope: those made there, and those above it."""
        principal = self._directory.by_object(caller.tenant, caller.object_id)
        return [
            grant
            for grant in (principal.grants if principal else ())
            if grant.scope == "/"
            or grant.scope.rstrip("/").lower() == scope.rstrip("/").lower()
            or self._inventory.covers(grant.scope, caller.tenant)(scope)
        ]

    def subscriptions(self, caller: Caller, action: str) -> list[str]:
        """Ids (lower case) of the subscriptions in which the caller may do something anywhere."""
        principal = self._directory.by_object(caller.tenant, caller.object_id)
        grants = [grant for grant in principal.grants if grant.allows(action)] if principal else []
        return [
            key
            for key, one in self._inventory.subscriptions.items()
            if one.tenant == caller.tenant
            and any(
                subscription_id(grant.scope) == key
                or self._inventory.covers(grant.scope, caller.tenant)(f"/subscriptions/{key}")
                for grant in grants
            )
        ]


def forbidden(caller: Caller, action: str, scope: str, code: str = "AuthorizationFailed") -> Refusal:
    """403 of Azure RBAC."""
    return arm_error(
        403,
        code,
        f"The client '{caller.client_id}' with object id '{caller.object_id}' does not have authorization to perform "
        f"action '{action}' over scope '{scope}' or the scope is invalid.",
    )
