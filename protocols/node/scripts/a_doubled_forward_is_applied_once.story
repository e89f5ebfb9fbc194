# The network doubles what a follower forwards, and the operation is done twice, or a member that
# restarted over its saved state does not know the copy for one.
(cluster nodes=3)
(campaign 1)
(stabilize)
propose 2 a
duplicate kind=Forward
(shelve late kind=Forward count=1)
(stabilize)
(compact 3 2)
(crash 3)
(restart 3)
(run 500ms)
unshelve late
stabilize
expect 1 state="n2/1:a n2/1:a" copies="n2/1" rev=2
expect 2 answer.1="revision 2" copies="n2/1" rev=2
expect 3 copies="n2/1" rev=2
---
n2 → n1 Forward [n2/1:a]
n1 ← n2 Forward [n2/1:a]
n1 writes #5 Append [3@1=n2/1:a]
n1 writes #6 Commit 2
n1 → n2 Append term=1 prev=2@1 [3@1=n2/1:a] commit=2
n1 → n3 Append term=1 prev=2@1 [3@1=n2/1:a] commit=2
n1 durable #6
n2 ← n1 Append term=1 prev=2@1 [3@1=n2/1:a] commit=2
n2 writes #5 Append [3@1=n2/1:a]
n2 writes #6 Commit 2
n2 durable #6
n2 → n1 Appended term=1 matched=3
n3 ← n1 Append term=1 prev=2@1 [3@1=n2/1:a] commit=2
n3 writes #1 Append [3@1=n2/1:a]
n3 durable #1
n3 → n1 Appended term=1 matched=3
n1 ← n2 Appended term=1 matched=3
n1 → n2 Append term=1 prev=3@1 [] commit=3
n1 → n3 Append term=1 prev=3@1 [] commit=3
n1 commits [3@1=n2/1:a]
n1 passes over n2/1 at 3
n1 ← n3 Appended term=1 matched=3
n2 ← n1 Append term=1 prev=3@1 [] commit=3
n2 → n1 Appended term=1 matched=3
n2 commits [3@1=n2/1:a]
n2 passes over n2/1 at 3
n3 ← n1 Append term=1 prev=3@1 [] commit=3
n3 → n1 Appended term=1 matched=3
n3 commits [3@1=n2/1:a]
n3 passes over n2/1 at 3
n1 ← n2 Appended term=1 matched=3
n1 ← n3 Appended term=1 matched=3
as expected
as expected
as expected
