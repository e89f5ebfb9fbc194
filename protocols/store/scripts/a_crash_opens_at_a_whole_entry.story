# etcd#13766: the applied index says less or more than the data, and an entry is applied twice or
# never. What the engine lost comes again from the log, with the same answers.
(grant 5 60)
put a 1 lease=5
(sync)
put b 1
txn "mod b = 3" then "put c 1" "del a"
expect rev=4 keys="b c" applied=4
---
revision 2
revision 3
revision 4, then [] [1 deleted]
as expected

crash
expect rev=2 keys="a" applied=2 attached.5="a"
---
open at entry 2 of 4
as expected

replay
expect rev=4 keys="b c" applied=4 attached.5="" mod.c=4
---
3: revision 3
4: revision 4, then [] [1 deleted]
as expected
