# Trap 29: looking for the place of agreement meets an index whose term is forgotten, and panics.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a b c)
(stabilize)
(run 100ms)
(compact 2 4)
expect 2 base=4@1 commit=4
---
as expected

# An append from before the base: what is committed matches without being looked up.
inject from=1 to=2 kind=Append term=1 id_term=1 id_index=2 commit=4
expect 2 base=4@1 last=4@1
---
n2 ← n1 Append term=1 prev=2@1 [] commit=4
n2 → n1 Appended term=1 matched=4
as expected

# A refusal whose hint lies before the leader's base neither panics nor goes below what is
# known to match.
(stabilize)
(compact 1 4)
(propose 1 d)
(drop)
inject from=3 to=1 kind=AppendRefused term=1 prev_index=5 id_index=1 id_term=1
expect 1 base=4@1 matched.3=4 flow.3=probe next.3=5
---
n1 ← n3 AppendRefused term=1 prev=5 hint=1@1
n1 → n3 Append term=1 prev=4@1 [5@1=d] commit=4
as expected
