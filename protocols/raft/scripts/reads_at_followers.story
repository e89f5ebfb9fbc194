# A follower forwards only the question; it answers from its own state up to the index.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(stabilize)
read 2 7
stabilize
expect 2 read.7=2 state=a
---
n2 → n1 ReadIndex term=1 token=7
n1 ← n2 ReadIndex term=1 token=7
n1 → n2 Heartbeat term=1 round=1 commit=2
n1 → n3 Heartbeat term=1 round=1 commit=2
n2 ← n1 Heartbeat term=1 round=1 commit=2
n2 → n1 HeartbeatReply term=1 round=1
n3 ← n1 Heartbeat term=1 round=1 commit=2
n3 → n1 HeartbeatReply term=1 round=1
n1 ← n2 HeartbeatReply term=1 round=1
n1 → n2 ReadIndexReply term=1 token=7 index=2
n1 ← n3 HeartbeatReply term=1 round=1
n2 ← n1 ReadIndexReply term=1 token=7 index=2
n2 answers read 7 at 2
as expected
