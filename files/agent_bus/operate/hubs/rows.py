"""The hubs and their database as the API and the pages tell them, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.core.model import rfc3339

if TYPE_CHECKING:
    from agent_bus.operate.hubs.facts import ClusterState, EtcdState, HubState, MemberState


def cluster(state: ClusterState) -> dict[str, Any]:
    """All of it, as `GET /api/cluster` answers."""
    primary = state.primary
    return {
        "hubs": [_hub(hub) for hub in state.hubs],
        "database": {
            "primary": None if primary is None else primary.name,
            "without_primary_s": round(state.without_primary_s, 1),
            "fenced": state.is_fenced,
            "paused": state.is_paused,
            "needed": state.needed,
            "there": state.there_count,
            "members": [_member(member) for member in state.members],
        },
        "etcd": {
            "healthy": state.healthy_count,
            "leader": state.etcd_leader,
            "members": [_etcd(etcd) for etcd in state.etcds],
        }
        if state.etcds
        else None,
        "words": words(state),
    }


def words(state: ClusterState) -> list[str]:
    """What there is to say, one line each."""
    live = f"Hubs: {state.live_count} of {len(state.hubs)} live"
    told = [f"{live}; this one is fenced" if state.is_fenced else live]
    there = f"Database: {state.there_count} of {len(state.members)} members there"
    primary = state.primary
    if primary is None:
        told.append(f"{there}, {state.needed} needed; no primary for {state.acked_s:.0f} s")
    else:
        line = "" if primary.timeline is None else f" (timeline {primary.timeline})"
        told.append(f"{there}, {state.needed} needed; primary {primary.name}{line}")
    if state.is_paused:
        told.append("Patroni is paused: no other member takes over")
    if state.etcds:
        leader = state.etcd_leader or ("not known here" if state.has_etcd_leader else "NONE")
        healthy = f"{state.healthy_count} of {len(state.etcds)} members healthy"
        told.append(f"etcd: {healthy}; leader {leader}")
    return told


def panel(state: ClusterState) -> dict[str, Any]:
    """The dashboard's panel: a row per host, and what there is to say."""
    return {"rows": table(state), "words": words(state)}


def table(state: ClusterState) -> list[dict[str, Any]]:
    """One row per host for the dashboard, and one per server that is no hub."""
    members = {member.name: member for member in state.members}
    etcds = {etcd.name: etcd for etcd in state.etcds}
    hubs = {hub.name: hub for hub in state.hubs}
    rows = []
    for name in sorted({*hubs, *members}):
        hub, member, etcd = hubs.get(name), members.get(name), etcds.get(name)
        rows.append(
            {
                "name": name,
                "url": None if hub is None else hub.url,
                "answers": hub is not None and hub.answers,
                "hub": "" if hub is None else _hub_word(hub, is_fenced=state.is_fenced),
                "seen_at": _seen(hub),
                "version": None if hub is None else hub.version,
                "database": "" if member is None else _member_word(member),
                "lag": "" if member is None else _lag(member),
                "timeline": None if member is None else member.timeline,
                "etcd": "" if etcd is None else _etcd_word(etcd),
            }
        )
    return rows


def _seen(hub: HubState | None) -> str | None:
    """When a hub was heard last; of one that lives it is no news."""
    return None if hub is None or hub.is_live else rfc3339(hub.seen_at)


def _hub_word(hub: HubState, *, is_fenced: bool) -> str:
    if hub.answers:
        return "fenced" if is_fenced else "live"
    return {True: "live", False: "lost", None: "unknown"}[hub.is_live]


def _member_word(member: MemberState) -> str:
    if not member.is_there:
        return member.state
    return str(member.role)


def _lag(member: MemberState) -> str:
    if member.lag_bytes is None:
        return ""
    size = f"{member.lag_bytes / 1e6:.1f} MB" if member.lag_bytes >= 1e5 else "none"  # noqa: PLR2004 - shown as 0.1
    if member.lag_s is not None and member.lag_s >= 1:
        return f"{size}, {member.lag_s:.0f} s"
    return size


def _etcd_word(etcd: EtcdState) -> str:
    if etcd.is_healthy is None:
        return "unknown"
    if not etcd.is_healthy:
        return "down"
    return "leader" if etcd.is_leader else "healthy"


def _hub(hub: HubState) -> dict[str, Any]:
    return {
        "name": hub.name,
        "url": hub.url,
        "live": hub.is_live,
        "version": hub.version,
        "last_seen_at": rfc3339(hub.seen_at),
        "answers": hub.answers,
    }


def _member(member: MemberState) -> dict[str, Any]:
    return {
        "name": member.name,
        "host": member.host,
        "role": member.role,
        "state": member.state,
        "there": member.is_there,
        "synchronous": member.is_sync,
        "timeline": member.timeline,
        "lag_bytes": member.lag_bytes,
        "lag_s": member.lag_s,
    }


def _etcd(etcd: EtcdState) -> dict[str, Any]:
    return {
        "name": etcd.name,
        "healthy": etcd.is_healthy,
        "leads": etcd.is_leader,
        "has_leader": etcd.has_leader,
        "size_bytes": etcd.size_bytes,
        "quota_bytes": etcd.quota_bytes,
    }
