# Contract items 9, 32 and 33; etcd#18089: a compaction takes a version that its own revision still
# sees, or what can be read depends on how far the removal got.
(put a 1)
(put a 2)
(put a 3)
(put b 1)
compact 3
range a rev=3
expect answer="[a=2 (mod 3, create 2, version 2)] count 1"
---
revision 5
[a=2 (mod 3, create 2, version 2)] count 1
as expected

# The removal, in steps: nothing that can be read changes.
sweep 1
range a rev=3
sweep
range a rev=3
expect answer="[a=2 (mod 3, create 2, version 2)] count 1"
---
there is more
[a=2 (mod 3, create 2, version 2)] count 1
nothing is left to remove
[a=2 (mod 3, create 2, version 2)] count 1
as expected

range a rev=2
compact 3
compact 6
expect answer="refused at revision 5: FutureRevision { asked: 6, current: 5 }" compacted=3
---
refused: Compacted { asked: 2, compacted: 3 }
refused at revision 5: Compacted { asked: 3, compacted: 3 }
refused at revision 5: FutureRevision { asked: 6, current: 5 }
as expected
