# The answer to an open operation lies inside a snapshot: it stays open for ever, or is sent again
# and again. Its caller must learn that nobody knows.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 2 a)
deliver kind=Forward
(partition 2)
(stabilize)
(propose 1 b c)
(stabilize)
(compact 1)
(compact 3)
expect 1 base=4@1 state="n2/1:a n1/1:b n1/2:c"
expect 2 open=1 state="" answer.1=pending
---
n1 ← n2 Forward [n2/1:a]
n1 writes #3 Append [2@1=n2/1:a]
n1 writes #4 Commit 1
n1 → n2 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n1 → n3 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n1 durable #4
as expected
as expected

(heal)
(run 1s)
expect 2 answer.1=unknown open=0 keys="a b c" base=4@1 copies=""
---
as expected

# What comes later is answered as ever.
(propose 2 d)
(stabilize)
expect 2 answer.2="revision 5" open=0 keys="a b c d"
---
as expected
