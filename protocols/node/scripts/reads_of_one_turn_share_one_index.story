# Every read of a turn costs a round of its own.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(stabilize)
read 2 7 8 9
expect wire=1 wire.ReadIndex=1
---
n2 → n1 ReadIndex term=1 token=1
as expected

# A read of a later turn has a round of its own: the first may have begun before a write that the
# second must see.
(propose 1 b)
(deliver kind=Append)
(deliver kind=Appended)
read 2 10
expect wire.ReadIndex=2
---
n2 → n1 ReadIndex term=1 token=2
as expected

(stabilize)
expect 2 read.7=3 read.8=3 read.9=3 read.10=3
---
as expected
