# Trap 20: a member that needs a snapshot times out, and as a candidate refuses the snapshot.
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
expect 1 flow.3=snapshot
expect wire.SnapshotChunk=1
---
as expected
as expected

# The first chunk is on its way when the member asks for votes.
(campaign 3)
drop from=3
expect 3 role=pre-candidate
---
n3 → n1 PreVote term=2 last=1@1 (dropped)
n3 → n2 PreVote term=2 last=1@1 (dropped)
as expected

deliver kind=SnapshotChunk
expect 3 role=follower leader=1
---
n3 ← n1 SnapshotChunk term=1 last=4@1 (..2]
n3 stores a chunk of 4@1 (..2]
n3 is follower term=1 leader=n1
n3 → n1 SnapshotAck term=1 last=4@1 cursor=(2)
as expected

(stabilize)
expect 3 commit=4 base=4@1 state="a b c"
---
as expected
