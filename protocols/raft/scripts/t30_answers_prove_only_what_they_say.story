# Trap 30: a refusal advances the commit index; or an acceptance covers entries that were never
# compared, because the follower's log is longer than what was sent.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a b)
(deliver kind=Append to=3)
(drop)
expect 3 last=3@1 commit=1
---
as expected

# An append of the next leader that ends at entry 1 is acknowledged up to 1, and commits up to 1.
inject from=2 to=3 kind=Append term=2 id_term=1 id_index=1 commit=3
expect 3 last=3@1 commit=1
---
n3 ← n2 Append term=2 prev=1@1 [] commit=3
n3 writes #5 Vote term=2 vote=-
n3 is follower term=2 leader=n2
n3 durable #5
n3 → n2 Appended term=2 matched=1
as expected

(drop)
# A refusal says nothing about what is held.
inject from=2 to=1 kind=AppendRefused term=1 prev_index=3 id_index=2 id_term=1
expect 1 matched.2=1 commit=1
---
n1 ← n2 AppendRefused term=1 prev=3 hint=2@1
n1 → n2 Append term=1 prev=2@1 [3@1=b] commit=1
as expected
