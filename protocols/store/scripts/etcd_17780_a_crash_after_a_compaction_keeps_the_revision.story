# etcd#17780: the newest revision was a delete, a compaction removed all traces of it, and after a crash the store goes
# on from an older revision: two changes have the same one.
(put a 1)
(put b 1)
(del b)
(compact 4)
(sweep)
(put a 2)
(del a)
(compact 6)
(sweep)
(sync)
crash
expect rev=6 compacted=6 keys=""
---
open at entry 7 of 7
as expected

put c 1
expect rev=7 mod.c=7
---
revision 7
as expected
