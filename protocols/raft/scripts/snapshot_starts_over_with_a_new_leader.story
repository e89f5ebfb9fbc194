# The leader changes in the middle: its positions and its pin are another's.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a b c d e)
(stabilize)
(compact 1)
(compact 2)
(heal)
(advance 300ms)
(deliver kind=Heartbeat)
(deliver kind=HeartbeatReply)
(deliver kind=Append)
(deliver kind=AppendRefused)
(deliver kind=SnapshotChunk)
(deliver kind=SnapshotAck)
(drop)
(transfer 1 2)
(deliver kind=TimeoutNow)
(deliver kind=Vote)
deliver kind=VoteReply
expect leader=2
---
n2 ← n1 VoteReply term=2 granted
n2 writes #7 Append [7@2]
n2 writes #8 Commit 6
n2 → n1 Append term=2 prev=6@1 [7@2] commit=6
n2 → n3 Append term=2 prev=6@1 [7@2] commit=6
n2 is leader term=2 leader=n2
n2 durable #8
n2 ← n3 VoteReply term=2 granted
as expected

(run 500ms)
status
expect 3 state="a b c d e"
expect 3 leader=2
---
800ms
n1 follower term=2 vote=n2 leader=n2 commit=7 applied=7 last=7@2 base=6@1
n2 leader term=2 vote=n2 leader=n2 commit=7 applied=7 last=7@2 base=6@1
n3 follower term=2 vote=n2 leader=n2 commit=7 applied=7 last=7@2 base=7@2
as expected
as expected
