# Contract items 13, 17 and 18: a new store is at revision 1, a write is one revision, a delete that
# deletes nothing is none, and a key that comes back counts from 1 again.
rev
put a 1
put a 2
del nothing
expect rev=3 version.a=2 create.a=2 mod.a=3
---
revision 1, compacted -1, entry 0, 0 keys
revision 2
revision 3
revision 3, 0 deleted
as expected

del a prev=true
put a 3
expect rev=5 version.a=1 create.a=5 mod.a=5
---
revision 4, 1 deleted: a=2 (mod 3, create 2, version 2)
revision 5
as expected

# Item 9: the past can be read, the future cannot.
range a rev=3
range a rev=6
expect answer="refused: FutureRevision { asked: 6, current: 5 }"
---
[a=2 (mod 3, create 2, version 2)] count 1
refused: FutureRevision { asked: 6, current: 5 }
as expected
