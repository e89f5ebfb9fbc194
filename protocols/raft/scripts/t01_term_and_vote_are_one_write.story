# Trap 1: term and vote stored in two writes, and a crash between them: a second vote in the term.
# Here one record holds both: whatever of it survives, no second candidate gets this vote.
(cluster nodes=3)
(disk 2 hold)
(campaign 1)
(deliver)
(deliver)
deliver kind=Vote to=2
---
n2 ← n1 Vote term=1 last=0@0
n2 writes #1 Vote term=1 vote=n1
n2 is follower term=1 leader=-

expect 2 pending=1
crash 2 survivors=1
restart 2
expect 2 term=1 vote=1 disk_vote=1
---
as expected
n2 crashed
n2 restarted
as expected

inject from=3 to=2 kind=Vote term=1 id_term=1 id_index=9
expect 2 vote=1
---
n2 ← n3 Vote term=1 last=9@1
n2 → n3 VoteReply term=1 refused
as expected
