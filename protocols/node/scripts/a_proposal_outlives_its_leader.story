# An operation is lost with the leader that it was handed to, or is applied twice when the next
# leader gets it again. The leader is lost after one follower holds the entry: both copies commit.
(cluster nodes=3)
(campaign 1)
(stabilize)
propose 2 a
deliver to=1
deliver to=3 kind=Append
(drop)
crash 1
expect 2 open=1 answer.1=pending
---
n2 → n1 Forward [n2/1:a]
n1 ← n2 Forward [n2/1:a]
n1 writes #3 Append [2@1=n2/1:a]
n1 writes #4 Commit 1
n1 → n2 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n1 → n3 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n1 durable #4
n3 ← n1 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n3 writes #3 Append [2@1=n2/1:a]
n3 writes #4 Commit 1
n3 durable #4
n3 → n1 Appended term=1 matched=2
n1 crashed
as expected

# Member 3 must win, since it holds the entry. Its log has the operation twice, the state once.
(run 4s)
log 3
expect leader=3
expect 2 answer.1="revision 2" open=0 copies="n2/1" rev=2
expect 3 copies="n2/1" rev=2 state="n2/1:a n2/1:a"
---
n3 base=0@0 [1@1 2@1=n2/1:a 3@2 4@2=n2/1:a] pending=[]
as expected
as expected
as expected
