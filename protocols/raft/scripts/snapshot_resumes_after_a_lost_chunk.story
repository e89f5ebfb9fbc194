# A chunk or its acknowledgement is lost: the stream goes on where it stopped.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a b c d e)
(stabilize)
(compact 1)
(heal)
(advance 300ms)
(deliver kind=Heartbeat)
(deliver kind=HeartbeatReply)
(deliver kind=Append)
(deliver kind=AppendRefused)
(deliver kind=SnapshotChunk)
deliver kind=SnapshotAck
drop kind=SnapshotChunk
---
n1 ← n3 SnapshotAck term=1 last=6@1 cursor=(2)
n1 needs a chunk after (2) for n3
n1 → n3 SnapshotChunk term=1 last=6@1 (2..4]
n1 → n3 SnapshotChunk term=1 last=6@1 (2..4] (dropped)

run 500ms
expect 3 state="a b c d e" base=6@1
---
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=1
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=1
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=1
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=1
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n3 SnapshotChunk term=1 last=6@1 (2..4]
n3 ← n1 SnapshotChunk term=1 last=6@1 (2..4]
n3 stores a chunk of 6@1 (2..4]
n3 → n1 SnapshotAck term=1 last=6@1 cursor=(4)
n1 ← n3 SnapshotAck term=1 last=6@1 cursor=(4)
n1 needs a chunk after (4) for n3
n1 → n3 SnapshotChunk term=1 last=6@1 (4..6] done
n3 ← n1 SnapshotChunk term=1 last=6@1 (4..6] done
n3 stores a chunk of 6@1 (4..6] done
n3 writes #3 Snapshot last=6@1
n3 durable #3
n3 → n1 Appended term=1 matched=6
n1 ← n3 Appended term=1 matched=6
n1 → n3 Append term=1 prev=6@1 [] commit=6
n1 needs no more chunks for n3
n3 ← n1 Append term=1 prev=6@1 [] commit=6
n3 → n1 Appended term=1 matched=6
n1 ← n3 Appended term=1 matched=6
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=6
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=6
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=6
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=6
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 → n2 Heartbeat term=1 round=0 commit=6
n1 → n3 Heartbeat term=1 round=0 commit=6
n2 ← n1 Heartbeat term=1 round=0 commit=6
n2 → n1 HeartbeatReply term=1 round=0
n3 ← n1 Heartbeat term=1 round=0 commit=6
n3 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
as expected
