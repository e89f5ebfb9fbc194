# Trap 51: a snapshot at or below the commit index replaces what is committed.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a b c)
(stabilize)
(compact 1)
(heal)
(advance 300ms)
(deliver kind=Heartbeat)
(deliver kind=HeartbeatReply)
(deliver kind=Append)
(deliver kind=AppendRefused)
(duplicate kind=SnapshotChunk)
(deliver kind=SnapshotChunk count=1)
(shelve late kind=SnapshotChunk)
(stabilize)
(propose 1 d)
(stabilize)
expect 3 commit=5 base=4@1 last=5@1 state="a b c d"
---
as expected

unshelve late
deliver
expect 3 commit=5 base=4@1 last=5@1 state="a b c d"
expect wire.Appended=1 wire.SnapshotAck=0
---
n3 ← n1 SnapshotChunk term=1 last=4@1 (..2]
n3 → n1 Appended term=1 matched=5
as expected
as expected

stabilize
expect 1 matched.3=5 flow.3=replicate
---
n1 ← n3 Appended term=1 matched=5
as expected
