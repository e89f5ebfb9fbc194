# Trap 41: a read index request reaches a member that no longer leads, which forwards it again, or it
# comes twice and answers another read.
(cluster nodes=3)
(campaign 1)
(stabilize)
(read 2 7)
(duplicate kind=ReadIndex)
(shelve late kind=ReadIndex count=1)
(stabilize)
expect 2 read.7=1
---
as expected

# The copy comes after leadership moved: nobody answers, nobody forwards.
(transfer 1 3)
(stabilize)
unshelve late
deliver
expect wire=0
---
n1 ← n2 ReadIndex term=1 token=7
as expected

# A forged or doubled answer to an answered read is nobody's.
inject from=3 to=2 kind=ReadIndexReply term=2 token=7 index=99
expect 2 read.7=1
---
n2 ← n3 ReadIndexReply term=2 token=7 index=99
as expected
