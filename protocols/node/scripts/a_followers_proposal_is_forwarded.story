# A follower's proposal does not reach the log, or whoever asked is never told.
(cluster nodes=3)
(campaign 1)
(stabilize)
propose 2 a
stabilize
expect 2 answer.1="revision 2" open=0
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
n2 durable #4
n2 → n1 Appended term=1 matched=2
n3 ← n1 Append term=1 prev=1@1 [2@1=n2/1:a] commit=1
n3 writes #3 Append [2@1=n2/1:a]
n3 writes #4 Commit 1
n3 durable #4
n3 → n1 Appended term=1 matched=2
n1 ← n2 Appended term=1 matched=2
n1 → n2 Append term=1 prev=2@1 [] commit=2
n1 → n3 Append term=1 prev=2@1 [] commit=2
n1 commits [2@1=n2/1:a]
n1 ← n3 Appended term=1 matched=2
n2 ← n1 Append term=1 prev=2@1 [] commit=2
n2 → n1 Appended term=1 matched=2
n2 commits [2@1=n2/1:a]
n2 answers operation 1: revision 2
n3 ← n1 Append term=1 prev=2@1 [] commit=2
n3 → n1 Appended term=1 matched=2
n3 commits [2@1=n2/1:a]
n1 ← n2 Appended term=1 matched=2
n1 ← n3 Appended term=1 matched=2
as expected

# Everybody applied it under the name that its origin gave it.
status
expect 1 state="n2/1:a" rev=2
expect 3 state="n2/1:a" rev=2
---
0ms
n1 leader term=1 vote=n1 leader=n1 commit=2 applied=2 last=2@1 base=0@0 open=0 rev=2
n2 follower term=1 vote=n1 leader=n1 commit=2 applied=2 last=2@1 base=0@0 open=0 rev=2
n3 follower term=1 vote=n1 leader=n1 commit=2 applied=2 last=2@1 base=0@0 open=0 rev=2
as expected
as expected
