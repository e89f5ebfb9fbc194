# Trap 9: the write of entry 2 of term 1 completes after entry 2 was replaced by one of term 2, and
# is counted for the new entry.
(cluster nodes=5)
(campaign 1)
(stabilize)
(disk 3 hold)
(propose 1 a)
(deliver kind=Append to=3)
(drop)
log 3
expect 3 last=2@1 stable=1
---
n3 base=0@0 [1@1] pending=["Append [2@1=a]", "Commit 1"]
as expected

# Member 2 is elected without 1 and 3, and replaces entry 2 on member 3.
(partition 1)
(advance 1s)
(drop)
(campaign 2)
(drop to=3)
(stabilize)
expect leader=2
---
as expected

(run 300ms)
log 3
expect 3 last=2@2 stable=1
---
n3 base=0@0 [1@1] pending=["Append [2@1=a]", "Commit 1", "Vote term=2 vote=-", "Append [2@2]"]
as expected

# The old write completes: nothing is acknowledged, nothing is stable.
disk 3 sync 2
expect 3 stable=1
expect wire.Appended=0
---
n3 durable #4
n3 → n1 Appended term=1 matched=2 (lost)
as expected
as expected

# Its own write completes, and the term's before it.
disk 3 release
expect 3 stable=2 disk_last=2@2
---
n3 durable #6
n3 → n2 Appended term=2 matched=2
n3 → n2 Appended term=2 matched=2
as expected

stabilize
expect 2 matched.3=2
---
n2 ← n3 Appended term=2 matched=2
n2 ← n3 Appended term=2 matched=2
as expected
