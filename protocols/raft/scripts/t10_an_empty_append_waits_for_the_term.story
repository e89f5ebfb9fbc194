# Trap 10: nothing new in the log, so nothing to sync, says the host, and forgets that the term is
# new. An acknowledgement in a new term waits for the term's write.
(cluster nodes=3)
(campaign 1)
(stabilize)
(disk 3 hold)
inject from=2 to=3 kind=Append term=5 id_term=1 id_index=1
expect 3 term=5 pending=1
expect wire.Appended=0
---
n3 ← n2 Append term=5 prev=1@1 [] commit=0
n3 writes #3 Vote term=5 vote=-
n3 is follower term=5 leader=n2
as expected
as expected

disk 3 release
expect wire.Appended=1
expect 3 disk_term=5
---
n3 durable #3
n3 → n2 Appended term=5 matched=1
as expected
as expected
