"""The six fields as a training pipeline has them, and the message that the ledger takes. Pure.

Nothing here decides: the ledger checks all six and names everything that is wrong at once. A field that is missing
stays empty, and its absence comes back as a problem with the field's path.
"""
from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ._wire import emitter_pb2, fields_pb2
from .evidence import Evidence

# A word that is none of these becomes UNSPECIFIED, and the ledger names the field.
_ROLES = {
    "champion": fields_pb2.SLOT_ROLE_CHAMPION, "challenger": fields_pb2.SLOT_ROLE_CHALLENGER,
    "shadow": fields_pb2.SLOT_ROLE_SHADOW, "canary": fields_pb2.SLOT_ROLE_CANARY,
}
_COMPARATORS = {
    "champion": fields_pb2.COMPARATOR_ROLE_CHAMPION, "challenger": fields_pb2.COMPARATOR_ROLE_CHALLENGER,
    "benchmark": fields_pb2.COMPARATOR_ROLE_BENCHMARK,
}
_STRENGTHS = {"content": fields_pb2.DATASET_STRENGTH_CONTENT, "manifest": fields_pb2.DATASET_STRENGTH_MANIFEST}


@dataclass(frozen=True)
class Slot:
    """Where a model runs; one promotion is one decision for one slot."""

    model: str
    environment: str
    region: str = ""
    role: str = "champion"


@dataclass(frozen=True)
class ModelVersion:
    """Field one. ``copy`` is the artefact itself; its SHA-256 is the model's identity."""

    registry_uri: str
    name: str
    version: str
    artifact_sha256: bytes
    copy: Evidence | None = None

    @classmethod
    def of_artifact(cls, artifact: Evidence, *, registry_uri: str, name: str, version: str,
                    keep_copy: bool = True) -> ModelVersion:
        return cls(registry_uri, name, version, artifact.sha256, artifact if keep_copy else None)


@dataclass(frozen=True)
class Comparator:
    """A model that the candidate was compared with: champion, challenger or benchmark."""

    role: str
    name: str
    version: str
    artifact_sha256: bytes


@dataclass(frozen=True)
class BandCheck:
    """One line of the band check: within = |candidate - incumbent| <= tolerance, recomputed by the ledger."""

    metric: str
    segment: str
    candidate: float
    incumbent: float
    tolerance: float

    @property
    def within(self) -> bool:
        return abs(self.candidate - self.incumbent) <= self.tolerance


@dataclass(frozen=True)
class Comparison:
    """Field two. ``computed_on`` is field six's digest unless it is given. No comparators: a first promotion."""

    report: Evidence
    metrics: Evidence
    comparators: Sequence[Comparator] = ()
    band_checks: Sequence[BandCheck] = ()
    computed_on: bytes | None = None


@dataclass(frozen=True)
class Person:
    """A person or service, as the identity provider knows them. Sealed by the ledger before it writes anything."""

    issuer: str
    subject: str
    name: str = ""


@dataclass(frozen=True)
class Question:
    """A question of the approval form."""

    id: str
    text: str
    required: bool = False


@dataclass(frozen=True)
class Form:
    """The approval form as shown."""

    id: str
    version: str
    content: Evidence
    questions: Sequence[Question]


@dataclass(frozen=True)
class ApprovalRequest:
    """Field three."""

    system: str
    id: str
    requested_by: Person
    triggered_by: Person
    asked_at: datetime
    form: Form
    justification: str
    residual_risk: str
    contributors: Sequence[Person] = ()
    asked_people: Sequence[Person] = ()
    asked_groups: Sequence[str] = ()
    due_at: datetime | None = None


@dataclass(frozen=True)
class Approval:
    """Field four, for one approver. ``assertion`` is the identity provider's signed token."""

    approver: Person
    decided_at: datetime
    auth_time: datetime
    assertion: str
    groups: Sequence[str] = ()
    matched_groups: Sequence[str] = ()
    groups_complete: bool = True
    acr: str = ""
    amr: Sequence[str] = ()
    answers: dict[str, str] = field(default_factory=dict)
    #: Automated approvals: the standing policy under which this service approves, and who answers for it.
    standing_policy: str = ""
    accountable: Person | None = None

    @classmethod
    def of_login(cls, token: str, *, matched_groups: Sequence[str] = (), answers: dict[str, str] | None = None) -> Approval:
        """What an ID token says of a login just now, whose nonce is :meth:`Promotion.nonce`. The token is read here and
        not verified: the ledger does that, and refuses what the token does not say."""
        payload = token.split(".")[1] if token.count(".") == 2 else ""
        try:
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            at = datetime.fromtimestamp(claims["auth_time"], timezone.utc)
            approver = Person(claims["iss"], claims["sub"], claims.get("name", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not an ID token of a login with iss, sub and auth_time: {error!r}") from error
        return cls(
            approver=approver, decided_at=at, auth_time=at, assertion=token, groups=claims.get("groups", ()),
            matched_groups=matched_groups, acr=claims.get("acr", ""), amr=claims.get("amr", ()), answers=answers or {},
        )


@dataclass(frozen=True)
class Explanation:
    """Field five. It explains field one and was computed on field six, unless a sample of it is named."""

    kind: str
    content: Evidence
    background_sha256: bytes
    tool: str
    tool_version: str
    sample_manifest: Evidence | None = None
    #: With a sample manifest: digest of the sample.
    computed_on: bytes | None = None


@dataclass(frozen=True)
class Dataset:
    """Field six. ``strength``: ``content`` (digest over the bytes) or ``manifest`` (over digests of the bytes)."""

    digest: bytes
    strength: str
    snapshot_kind: str
    snapshot_id: str
    definition: Evidence
    copy: Evidence | None = None


@dataclass(frozen=True)
class Promotion:
    """One decision for one slot: all six fields, and the model profile from which the change is derived."""

    slot: Slot
    model_version: ModelVersion
    challenger_comparison: Comparison
    approval_request: ApprovalRequest
    approvals: Sequence[Approval]
    explanations: Sequence[Explanation]
    dataset: Dataset
    profile: Evidence
    profile_attestation: Evidence | None = None

    def evidence(self) -> list[Evidence]:
        """Everything that must be with the ledger before it can record this, each digest once."""
        comparison, request = self.challenger_comparison, self.approval_request
        named: list[Evidence | None] = [
            self.model_version.copy, comparison.report, comparison.metrics, request.form.content,
            self.dataset.definition, self.dataset.copy, self.profile, self.profile_attestation,
        ]
        for explanation in self.explanations:
            named += [explanation.content, explanation.sample_manifest]
        return list({one.sha256: one for one in named if one is not None}.values())

    def nonce(self) -> str:
        """What the login of an approver inside this promotion commits to: the key, base64url."""
        return base64.urlsafe_b64encode(self.key()).rstrip(b"=").decode()

    def key(self) -> bytes:
        """The promotion key (FORMAT.md section 4): the same decision has the same key, however often it is sent."""
        role = int(_ROLES.get(self.slot.role, fields_pb2.SLOT_ROLE_UNSPECIFIED))
        return tagged(
            b"promotion-ledger v1 promotion key\0", self.slot.model.encode(), self.slot.environment.encode(),
            self.slot.region.encode(), role.to_bytes(4, "big", signed=True), self.model_version.artifact_sha256,
            self.model_version.registry_uri.encode(), self.model_version.version.encode(),
            self.approval_request.system.encode(), self.approval_request.id.encode(),
        )

    def draft(self) -> emitter_pb2.PromotionDraft:
        """The message of proto/promotion/v1/emitter.proto."""
        return emitter_pb2.PromotionDraft(
            slot=fields_pb2.Slot(
                model=self.slot.model, environment=self.slot.environment, region=self.slot.region,
                role=_ROLES.get(self.slot.role, fields_pb2.SLOT_ROLE_UNSPECIFIED),
            ),
            model_version=fields_pb2.ModelVersion(
                artifact_sha256=self.model_version.artifact_sha256, registry_uri=self.model_version.registry_uri,
                name=self.model_version.name, version=self.model_version.version, copy=_ref(self.model_version.copy),
            ),
            challenger_comparison=self._comparison(),
            approval_request=self._request(),
            approvals=[_approval(approval) for approval in self.approvals],
            explanations=[self._explanation(explanation) for explanation in self.explanations],
            dataset=fields_pb2.Dataset(
                digest=self.dataset.digest, strength=_STRENGTHS.get(self.dataset.strength, fields_pb2.DATASET_STRENGTH_UNSPECIFIED),
                snapshot_kind=self.dataset.snapshot_kind, snapshot_id=self.dataset.snapshot_id,
                definition_digest=self.dataset.definition.sha256, definition=_ref(self.dataset.definition),
                copy=_ref(self.dataset.copy),
            ),
            profile=_ref(self.profile),
            profile_attestation=_ref(self.profile_attestation),
        )

    def _comparison(self) -> fields_pb2.ChallengerComparison:
        comparison = self.challenger_comparison
        return fields_pb2.ChallengerComparison(
            no_incumbent=not any(one.role == "champion" for one in comparison.comparators),
            comparators=[
                fields_pb2.Comparator(
                    role=_COMPARATORS.get(one.role, fields_pb2.COMPARATOR_ROLE_UNSPECIFIED),
                    artifact_sha256=one.artifact_sha256, name=one.name, version=one.version)
                for one in comparison.comparators
            ],
            report=_ref(comparison.report),
            metrics=_ref(comparison.metrics),
            computed_on=comparison.computed_on or self.dataset.digest,
            band_checks=[
                fields_pb2.BandCheck(metric=one.metric, segment=one.segment, candidate=one.candidate,
                                     incumbent=one.incumbent, tolerance=one.tolerance, within=one.within)
                for one in comparison.band_checks
            ],
        )

    def _request(self) -> emitter_pb2.ApprovalRequestDraft:
        request = self.approval_request
        return emitter_pb2.ApprovalRequestDraft(
            system=request.system, id=request.id, requested_by=_person(request.requested_by),
            triggered_by=_person(request.triggered_by),
            contributors=[_person(one) for one in request.contributors],
            asked_people=[_person(one) for one in request.asked_people],
            asked_groups=request.asked_groups, asked_at=micros(request.asked_at),
            due_at=micros(request.due_at) if request.due_at else 0,
            form=fields_pb2.ApprovalForm(
                id=request.form.id, version=request.form.version, content=_ref(request.form.content),
                questions=[fields_pb2.FormQuestion(id=one.id, text=one.text, required=one.required)
                           for one in request.form.questions],
            ),
            justification=request.justification, residual_risk=request.residual_risk,
        )

    def _explanation(self, explanation: Explanation) -> fields_pb2.Explanation:
        return fields_pb2.Explanation(
            kind=explanation.kind, content=_ref(explanation.content), explains=self.model_version.artifact_sha256,
            computed_on=explanation.computed_on or self.dataset.digest,
            sample_manifest=_ref(explanation.sample_manifest), background_sha256=explanation.background_sha256,
            tool=explanation.tool, tool_version=explanation.tool_version,
        )


def _approval(approval: Approval) -> emitter_pb2.ApprovalDraft:
    return emitter_pb2.ApprovalDraft(
        approver=_person(approval.approver), decided_at=micros(approval.decided_at), groups=approval.groups,
        matched_groups=approval.matched_groups, groups_complete=approval.groups_complete,
        auth_time=micros(approval.auth_time), acr=approval.acr, amr=approval.amr, assertion=approval.assertion,
        answers=[emitter_pb2.Answer(question=question, text=text) for question, text in approval.answers.items()],
        standing_policy=approval.standing_policy,
        accountable=_person(approval.accountable) if approval.accountable else None,
    )


def _person(person: Person) -> emitter_pb2.Person:
    return emitter_pb2.Person(issuer=person.issuer, subject=person.subject, name=person.name)


def _ref(evidence: Evidence | None) -> fields_pb2.EvidenceRef | None:
    if evidence is None:
        return None
    return fields_pb2.EvidenceRef(sha256=evidence.sha256, length=evidence.length, media_type=evidence.media_type)


def micros(time: datetime) -> int:
    """Microseconds since the Unix epoch. A time without a zone is refused: whose noon would it be?"""
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone; use datetime.now(timezone.utc) or .astimezone()")
    since = time.astimezone(timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def tagged(tag: bytes, *parts: bytes) -> bytes:
    """SHA-256 over a tag and length-prefixed parts (FORMAT.md section 4)."""
    digest = hashlib.sha256(tag)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
