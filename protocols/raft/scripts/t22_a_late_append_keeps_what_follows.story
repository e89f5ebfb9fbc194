# Trap 22: an append that comes late, or twice, truncates entries that a newer one brought.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(duplicate kind=Append to=2)
(deliver kind=Append to=2 count=1)
(shelve late kind=Append to=2)
(propose 1 b)
(propose 1 c)
(deliver kind=Append to=2)
expect 2 last=4@1 disk_last=4@1
---
as expected

unshelve late
deliver kind=Append to=2
expect 2 last=4@1 disk_last=4@1
---
n2 ← n1 Append term=1 prev=1@1 [2@1=a] commit=1
n2 → n1 Appended term=1 matched=4
as expected
