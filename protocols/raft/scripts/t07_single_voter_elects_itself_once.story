# Trap 7: a single voter whose vote is still on its way to the disk campaigns again and again, and
# its term climbs for nothing.
(cluster nodes=1)
disk 1 hold
advance 10s
expect 1 role=candidate term=1 pending=1
---
n1 writes #1 Vote term=1 vote=n1
n1 is candidate term=1 leader=-
as expected

disk 1 release
expect 1 role=leader term=1 commit=1
---
n1 durable #1
n1 writes #2 Append [1@1]
n1 is leader term=1 leader=n1
n1 durable #2
n1 commits [1@1]
as expected
