"""The settings of auth: ``[modules.auth]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]


class AuthSettings(BaseModel):
    """How long tokens live, how many failures are borne, what a password hash costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field("tessera", min_length=1, description="`iss` of access tokens")
    audience: str = Field("tessera-api", min_length=1, description="`aud` of access tokens")
    access_minutes: Positive = Field(15, description="life of an access token, in minutes")
    refresh_days: Positive = Field(
        14, description="life of a refresh token that is not used, in days"
    )
    leeway_seconds: int = Field(
        5, ge=0, le=60, description="how far the clocks of two servers may differ, in seconds"
    )
    failures_per_account: Positive = Field(
        5, description="failed sign-ins to one account in a window"
    )
    failures_per_address: Positive = Field(
        50, description="failed sign-ins from one network address in a window"
    )
    failure_window_seconds: Positive = Field(
        15 * 60, description="length of that window, in seconds"
    )
    hash_threads: int = Field(2, ge=1, le=32, description="passwords that are hashed at one time")
    hash_waiting: Positive = Field(
        200, description="passwords that may wait for that; more are answered with 503"
    )
    argon2_memory_kib: int = Field(
        19 * 1024, ge=8 * 1024, description="memory of one argon2id hash, in KiB"
    )
    argon2_iterations: Positive = Field(2, description="passes of argon2id over that memory")
    argon2_parallelism: Positive = Field(1, description="lanes of argon2id")
