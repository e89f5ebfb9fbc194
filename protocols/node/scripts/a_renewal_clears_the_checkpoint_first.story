# etcd#15247: a long lease lives its whole time again after each change of leader; or a renewal is
# answered before the checkpoint that says less is gone, and the next leader ends it early.
(cluster nodes=3)
(campaign 1)
(stabilize)
(grant 1 5 1000)
(stabilize)
(run 301s)
expect 1 wanted="left 5=700 @1"
---
as expected

ask 1 1 renew 5
expect 1 told.1=pending wanted="left 5=700 @1, left 5=0 @1"
---
n1 wants `left 5=0 @1` in the log
n1 writes #7 Append [4@1=left 5=0 @1]
n1 writes #8 Commit 3
n1 → n2 Append term=1 prev=3@1 [4@1=left 5=0 @1] commit=3
n1 → n3 Append term=1 prev=3@1 [4@1=left 5=0 @1] commit=3
n1 durable #8
as expected

stabilize
expect 1 told.1=1000
---
n2 ← n1 Append term=1 prev=3@1 [4@1=left 5=0 @1] commit=3
n2 writes #7 Append [4@1=left 5=0 @1]
n2 writes #8 Commit 3
n2 durable #8
n2 → n1 Appended term=1 matched=4
n3 ← n1 Append term=1 prev=3@1 [4@1=left 5=0 @1] commit=3
n3 writes #7 Append [4@1=left 5=0 @1]
n3 writes #8 Commit 3
n3 durable #8
n3 → n1 Appended term=1 matched=4
n1 ← n2 Appended term=1 matched=4
n1 → n2 Append term=1 prev=4@1 [] commit=4
n1 → n3 Append term=1 prev=4@1 [] commit=4
n1 commits [4@1=left 5=0 @1]
n1 is told 1000s for question 1
n1 ← n3 Appended term=1 matched=4
n2 ← n1 Append term=1 prev=4@1 [] commit=4
n2 → n1 Appended term=1 matched=4
n2 commits [4@1=left 5=0 @1]
n3 ← n1 Append term=1 prev=4@1 [] commit=4
n3 → n1 Appended term=1 matched=4
n3 commits [4@1=left 5=0 @1]
n1 ← n2 Appended term=1 matched=4
n1 ← n3 Appended term=1 matched=4
as expected
