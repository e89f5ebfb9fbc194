# Reads of one turn share a round; the newest round's answers prove the older ones too.
(cluster nodes=3)
(campaign 1)
(stabilize)
read 1 7 8
read 1 9
expect wire.Heartbeat=4
---
n1 → n2 Heartbeat term=1 round=1 commit=1
n1 → n3 Heartbeat term=1 round=1 commit=1
n1 → n2 Heartbeat term=1 round=2 commit=1
n1 → n3 Heartbeat term=1 round=2 commit=1
as expected

(drop kind=Heartbeat to=3)
(drop kind=Heartbeat count=1)
(deliver kind=Heartbeat)
deliver kind=HeartbeatReply
expect 1 read.7=1 read.8=1 read.9=1
---
n1 ← n2 HeartbeatReply term=1 round=2
n1 answers read 7 at 1
n1 answers read 8 at 1
n1 answers read 9 at 1
as expected
