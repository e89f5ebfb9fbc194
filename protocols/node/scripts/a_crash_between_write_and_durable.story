# A follower crashes with an entry that its disk never had; its operation is lost, is done twice, or
# is answered to a caller of the member's next life.
(cluster nodes=3)
(campaign 1)
(stabilize)
(disk 2 hold)
(disk 3 hold)
propose 2 a
stabilize
expect 2 open=1 pending=2
expect 1 commit=1
---
n2 → n1 Forward [n2/1:a]
n1 ← n2 Forward [n2/1:a]
n1 writes #3 Append [2@1=n2/1:a]
n1 writes #4 Commit 1
n1 → n2 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n1 → n3 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n1 durable #4
n2 ← n1 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n2 writes #3 Append [2@1=n2/1:a]
n2 writes #4 Commit 1
n3 ← n1 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n3 writes #3 Append [2@1=n2/1:a]
n3 writes #4 Commit 1
as expected
as expected

crash 2 survivors=0
(disk 3 release)
(stabilize)
(restart 2)
(run 500ms)
expect 2 state="n2/1:a" open=0 answered="" rev=2
---
n2 crashed
as expected

# Its next life counts from 1 again, under another name: nothing is taken for a copy.
propose 2 b
(stabilize)
expect 2 answer.1="revision 3" state="n2/1:a n2.1/1:b" copies=""
---
n2 → n1 Forward [n2.1/1:b]
as expected
