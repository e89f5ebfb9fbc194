# Trap 28: the place to compare at is compacted away, the leader sends term 0 for it, and a follower
# with an empty log takes that for a match.
(cluster nodes=3)
(partition 3)
(campaign 1)
(stabilize)
(propose 1 a b c)
(stabilize)
(compact 1 3)
(heal)
expect 1 base=3@1 next.3=1 flow.3=probe
---
as expected

# When the follower is heard, the probe is not repeated at a place whose term is unknown.
(advance 300ms)
(deliver kind=Heartbeat)
deliver kind=HeartbeatReply
expect 1 flow.3=snapshot
expect wire.Append=0
---
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 needs a chunk after () for n3
n1 → n3 SnapshotChunk term=1 last=4@1 (..2]
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
as expected
as expected

run 100ms
expect 3 state="a b c" commit=4
---
n3 ← n1 SnapshotChunk term=1 last=4@1 (..2]
n3 stores a chunk of 4@1 (..2]
n3 → n1 SnapshotAck term=1 last=4@1 cursor=(2)
n1 ← n3 SnapshotAck term=1 last=4@1 cursor=(2)
n1 needs a chunk after (2) for n3
n1 → n3 SnapshotChunk term=1 last=4@1 (2..4] done
n3 ← n1 SnapshotChunk term=1 last=4@1 (2..4] done
n3 stores a chunk of 4@1 (2..4] done
n3 writes #2 Snapshot last=4@1
n3 durable #2
n3 → n1 Appended term=1 matched=4
n1 ← n3 Appended term=1 matched=4
n1 → n3 Append term=1 prev=4@1 [] commit=4
n1 needs no more chunks for n3
n3 ← n1 Append term=1 prev=4@1 [] commit=4
n3 → n1 Appended term=1 matched=4
n1 ← n3 Appended term=1 matched=4
n1 → n2 Heartbeat term=1 round=0 commit=4
n1 → n3 Heartbeat term=1 round=0 commit=4
n2 ← n1 Heartbeat term=1 round=0 commit=4
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=4
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
as expected
