# Trap 35: messages from itself, or claims that cannot be, crash a member or move its marks.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(deliver kind=Append to=2)
(drop)
inject from=1 to=1 kind=Vote term=9 id_term=9 id_index=9
inject from=1 to=1 kind=Heartbeat term=9
expect 1 role=leader term=1
---
n1 ← n1 Vote term=9 last=9@9
n1 ← n1 Heartbeat term=9 round=0 commit=0
as expected

# A beacon that commits more than was compared, or more than there is.
inject from=1 to=3 kind=Heartbeat term=1 commit=99
expect 3 commit=1 last=1@1
---
n3 ← n1 Heartbeat term=1 round=0 commit=99
n3 → n1 HeartbeatReply term=1 round=0
as expected

# An acknowledgement of entries that do not exist, and an answer to a round that never began.
inject from=2 to=1 kind=Appended term=1 matched=99
inject from=2 to=1 kind=HeartbeatReply term=1 round=99
(read 1 7)
expect 1 matched.2=1 commit=1 read.7=pending
---
n1 ← n2 Appended term=1 matched=99
n1 ← n2 HeartbeatReply term=1 round=99
as expected
