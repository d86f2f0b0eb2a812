;; The scan kernel: see kernel.ts for what it does, scan-plain.ts for the same in TypeScript.
;;
;; Memory, in bytes from 0 (the numbers stand in scan-simd.ts too):
;;       0  buckets: 4096 x i32, number of the name plus one, 0 is empty
;;   16384  names:   2048 x 80: the name filled up with zeros (64), wanted (i32), 4 free, lines (i64)
;;  180224  records: 4096 x 5 x i32: line start, name end, line end, line from 0, name
;;  262144  text
(module
  (memory (export "memory") 25)

  ;; What the last scan found, and how many names there are.
  (global $found (export "found") (mut i32) (i32.const 0))
  (global $lines (export "lines") (mut i32) (i32.const 0))
  (global $names (export "names") (mut i32) (i32.const 0))

  ;; Length of a prefix that is not the usual one: `2026-11-21T01:29:28Z ` or `TID@SEC.USEC:`, else 0.
  ;; $v holds the first 16 bytes, $d marks the digits in it.
  (func $rare_prefix (param $p i32) (param $v v128) (param $d v128) (result i32)
    (local $w v128)
    (if (i8x16.all_true
          (v128.or
            (i8x16.eq (local.get $v)
              (v128.const i8x16 -1 -1 -1 -1 0x2d -1 -1 0x2d -1 -1 0x54 -1 -1 0x3a -1 -1))
            (v128.and (local.get $d)
              (v128.const i8x16 -1 -1 -1 -1 0 -1 -1 0 -1 -1 0 -1 -1 0 -1 -1))))
      (then
        ;; ":28Z " from byte 16 on.
        (return
          (select (i32.const 21) (i32.const 0)
            (i32.and
              (i32.and
                (i32.lt_u (i32.sub (i32.load8_u offset=17 (local.get $p)) (i32.const 48)) (i32.const 10))
                (i32.lt_u (i32.sub (i32.load8_u offset=18 (local.get $p)) (i32.const 48)) (i32.const 10)))
              (i32.and
                (i32.eq (i32.load8_u offset=16 (local.get $p)) (i32.const 58))
                (i32.eq (i32.load16_u offset=19 (local.get $p)) (i32.const 0x205a))))))))
    (local.set $w (v128.load offset=16 (local.get $p)))
    (call $tid (local.get $p)
      (i32.or
        (i8x16.bitmask (local.get $d))
        (i32.shl
          (i8x16.bitmask
            (i8x16.lt_u
              (i8x16.sub (local.get $w) (i8x16.splat (i32.const 48)))
              (i8x16.splat (i32.const 10))))
          (i32.const 16)))))

  ;; Length of the prefix `TID@SEC.USEC:`, else 0. $m has a bit for each digit in the first 32 bytes.
  (func $tid (param $p i32) (param $m i32) (result i32)
    (local $a i32) (local $b i32)
    (local.set $a (i32.ctz (i32.xor (local.get $m) (i32.const -1))))
    (if (i32.or
          (i32.gt_u (local.get $a) (i32.const 28))
          (i32.ne (i32.load8_u (i32.add (local.get $p) (local.get $a))) (i32.const 64)))
      (then (return (i32.const 0))))
    (local.set $a (i32.add (local.get $a) (i32.const 1)))
    (local.set $b
      (i32.ctz (i32.xor (i32.shr_u (local.get $m) (local.get $a)) (i32.const -1))))
    (if (i32.eqz (local.get $b)) (then (return (i32.const 0))))
    (local.set $a (i32.add (local.get $a) (local.get $b)))
    (if (i32.or
          (i32.gt_u (local.get $a) (i32.const 30))
          (i32.ne (i32.load8_u (i32.add (local.get $p) (local.get $a))) (i32.const 46)))
      (then (return (i32.const 0))))
    (local.set $a (i32.add (local.get $a) (i32.const 1)))
    (if (i32.ne
          (i32.ctz (i32.xor (i32.shr_u (local.get $m) (local.get $a)) (i32.const -1)))
          (i32.const 6))
      (then (return (i32.const 0))))
    (local.set $a (i32.add (local.get $a) (i32.const 6)))
    (if (i32.ne (i32.load8_u (i32.add (local.get $p) (local.get $a))) (i32.const 58))
      (then (return (i32.const 0))))
    (i32.add (local.get $a) (i32.const 1)))

  ;; Whether the $n bytes at $p are [a-z][a-z0-9_]*_[a-z0-9_]+
  (func $event_name (param $p i32) (param $n i32) (result i32)
    (local $i i32) (local $c i32) (local $underscore i32)
    (loop $next
      (if (i32.ge_u (local.get $i) (local.get $n)) (then (return (local.get $underscore))))
      (local.set $c (i32.load8_u (i32.add (local.get $p) (local.get $i))))
      (if (i32.ge_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))
        (then
          (if (i32.eqz (local.get $i)) (then (return (i32.const 0))))
          (if (i32.eq (local.get $c) (i32.const 95))
            (then
              (if (i32.lt_u (i32.add (local.get $i) (i32.const 1)) (local.get $n))
                (then (local.set $underscore (i32.const 1)))))
            (else
              (if (i32.ge_u (i32.sub (local.get $c) (i32.const 48)) (i32.const 10))
                (then (return (i32.const 0))))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next))
    (unreachable))

  ;; Goes over the complete lines from $p to $end; returns where it stopped.
  (func (export "scan") (param $p i32) (param $end i32) (result i32)
    (local $v v128) (local $w v128) (local $d v128) (local $e v128) (local $sum v128)
    (local $v0 v128) (local $v1 v128) (local $v2 v128) (local $v3 v128)
    (local $name i32) (local $q i32) (local $m i32) (local $line i32) (local $record i32)
    (local $lanes v128) (local $newlines i32) (local $bucket i32) (local $entry i32) (local $h i64)
    (global.set $lines (i32.const 0))
    (local.set $lanes (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15))
    (local.set $record (i32.const 180224))
    (block $stop
      (loop $next_line
        (br_if $stop (i32.ge_u (local.get $p) (local.get $end)))
        (br_if $stop (i32.eq (local.get $record) (i32.const 262144)))

        ;; The prefix. The usual one is `2026-11-21T01:29:28.468502Z `: $v holds its first 16 bytes,
        ;; $w those from byte 11 on, $d and $e mark the digits in them. Of the two constants for each,
        ;; one has the separators, the other marks where digits must stand.
        (local.set $name (local.get $p))
        (if (i32.lt_u (i32.sub (i32.load8_u (local.get $p)) (i32.const 48)) (i32.const 10))
          (then
            (local.set $v (v128.load (local.get $p)))
            (local.set $w (v128.load offset=11 (local.get $p)))
            (local.set $d
              (i8x16.lt_u
                (i8x16.sub (local.get $v) (i8x16.splat (i32.const 48)))
                (i8x16.splat (i32.const 10))))
            (local.set $e
              (i8x16.lt_u
                (i8x16.sub (local.get $w) (i8x16.splat (i32.const 48)))
                (i8x16.splat (i32.const 10))))
            (local.set $name
              (i32.add (local.get $p)
                (if (result i32)
                  (i32.and
                    (i8x16.all_true
                      (v128.and
                        (v128.or
                          (i8x16.eq (local.get $v)
                            (v128.const i8x16 -1 -1 -1 -1 0x2d -1 -1 0x2d -1 -1 0x54 -1 -1 0x3a -1 -1))
                          (v128.and (local.get $d)
                            (v128.const i8x16 -1 -1 -1 -1 0 -1 -1 0 -1 -1 0 -1 -1 0 -1 -1)))
                        (v128.or
                          (i8x16.eq (local.get $w)
                            (v128.const i8x16 -1 -1 0x3a -1 -1 0x3a -1 -1 0x2e -1 -1 -1 -1 -1 -1 0x5a))
                          (v128.and (local.get $e)
                            (v128.const i8x16 -1 -1 0 -1 -1 0 -1 -1 0 -1 -1 -1 -1 -1 -1 0)))))
                    (i32.eq (i32.load8_u offset=27 (local.get $p)) (i32.const 32)))
                  (then (i32.const 28))
                  (else (call $rare_prefix (local.get $p) (local.get $v) (local.get $d))))))))

        ;; The name: up to the first byte that is a blank or less, in at most four vectors.
        (local.set $v1 (v128.const i64x2 0 0))
        (local.set $v2 (v128.const i64x2 0 0))
        (local.set $v3 (v128.const i64x2 0 0))
        (local.set $q (local.get $name))
        (block $named
          (block $too_long
            (local.set $v0 (v128.load (local.get $q)))
            (local.set $m (i8x16.bitmask (i8x16.le_u (local.get $v0) (i8x16.splat (i32.const 32)))))
            (if (local.get $m)
              (then
                (local.set $m (i32.ctz (local.get $m)))
                (local.set $v0 (v128.and (local.get $v0) (i8x16.gt_u (i8x16.splat (local.get $m)) (local.get $lanes))))
                (local.set $sum (local.get $v0))
                (br $named)))
            (local.set $q (i32.add (local.get $q) (i32.const 16)))

            (local.set $v1 (v128.load (local.get $q)))
            (local.set $m (i8x16.bitmask (i8x16.le_u (local.get $v1) (i8x16.splat (i32.const 32)))))
            (if (local.get $m)
              (then
                (local.set $m (i32.ctz (local.get $m)))
                (local.set $v1 (v128.and (local.get $v1) (i8x16.gt_u (i8x16.splat (local.get $m)) (local.get $lanes))))
                (local.set $sum
                  (v128.xor (local.get $v0) (i64x2.shl (local.get $v1) (i32.const 1))))
                (br $named)))
            (local.set $q (i32.add (local.get $q) (i32.const 16)))

            (local.set $v2 (v128.load (local.get $q)))
            (local.set $m (i8x16.bitmask (i8x16.le_u (local.get $v2) (i8x16.splat (i32.const 32)))))
            (if (local.get $m)
              (then
                (local.set $m (i32.ctz (local.get $m)))
                (local.set $v2 (v128.and (local.get $v2) (i8x16.gt_u (i8x16.splat (local.get $m)) (local.get $lanes))))
                (local.set $sum
                  (v128.xor (local.get $v0)
                    (v128.xor
                      (i64x2.shl (local.get $v1) (i32.const 1))
                      (i64x2.shl (local.get $v2) (i32.const 2)))))
                (br $named)))
            (local.set $q (i32.add (local.get $q) (i32.const 16)))

            (local.set $v3 (v128.load (local.get $q)))
            (local.set $m (i8x16.bitmask (i8x16.le_u (local.get $v3) (i8x16.splat (i32.const 32)))))
            (br_if $too_long (i32.eqz (local.get $m)))
            (local.set $m (i32.ctz (local.get $m)))
            (local.set $v3 (v128.and (local.get $v3) (i8x16.gt_u (i8x16.splat (local.get $m)) (local.get $lanes))))
            (local.set $sum
              (v128.xor
                (v128.xor (local.get $v0) (i64x2.shl (local.get $v1) (i32.const 1)))
                (v128.xor
                  (i64x2.shl (local.get $v2) (i32.const 2))
                  (i64x2.shl (local.get $v3) (i32.const 3)))))
            (br $named))
          ;; Longer than any name.
          (local.set $m (i32.const -1)))

        ;; The newline. $q becomes the end of the name, $line the end of the line.
        (if (i32.ge_s (local.get $m) (i32.const 0))
          (then (local.set $q (i32.add (local.get $q) (local.get $m)))))
        (local.set $line (local.get $q))
        (loop $seek
          (local.set $newlines
            (i8x16.bitmask
              (i8x16.eq (v128.load (local.get $line)) (i8x16.splat (i32.const 10)))))
          (if (i32.eqz (local.get $newlines))
            (then
              (local.set $line (i32.add (local.get $line) (i32.const 16)))
              (br $seek))))
        (local.set $line (i32.add (local.get $line) (i32.ctz (local.get $newlines))))
        (br_if $stop (i32.ge_u (local.get $line) (local.get $end)))

        (block $counted
          (br_if $counted (i32.lt_s (local.get $m) (i32.const 0)))

          ;; The bucket.
          (local.set $h
            (i64.mul
              (i64.xor
                (i64x2.extract_lane 0 (local.get $sum))
                (i64.rotl (i64x2.extract_lane 1 (local.get $sum)) (i64.const 29)))
              (i64.const 0x9e3779b97f4a7c15)))
          (local.set $bucket
            (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 52))) (i32.const 2)))
          (loop $probe
            (local.set $entry (i32.load (local.get $bucket)))
            (if (local.get $entry)
              (then
                ;; 16384 - 80, as buckets count from 1.
                (local.set $entry
                  (i32.add (i32.mul (local.get $entry) (i32.const 80)) (i32.const 16304)))
                (if (v128.any_true
                      (v128.or
                        (v128.or
                          (v128.xor (local.get $v0) (v128.load (local.get $entry)))
                          (v128.xor (local.get $v1) (v128.load offset=16 (local.get $entry))))
                        (v128.or
                          (v128.xor (local.get $v2) (v128.load offset=32 (local.get $entry)))
                          (v128.xor (local.get $v3) (v128.load offset=48 (local.get $entry))))))
                  (then
                    (local.set $bucket
                      (i32.and (i32.add (local.get $bucket) (i32.const 4)) (i32.const 16380)))
                    (br $probe))))
              (else
                ;; A name that was not seen before.
                (br_if $counted (i32.eq (global.get $names) (i32.const 2048)))
                (br_if $counted
                  (i32.eqz
                    (call $event_name (local.get $name)
                      (i32.sub (local.get $q) (local.get $name)))))
                (local.set $entry
                  (i32.add (i32.mul (global.get $names) (i32.const 80)) (i32.const 16384)))
                (v128.store (local.get $entry) (local.get $v0))
                (v128.store offset=16 (local.get $entry) (local.get $v1))
                (v128.store offset=32 (local.get $entry) (local.get $v2))
                (v128.store offset=48 (local.get $entry) (local.get $v3))
                (global.set $names (i32.add (global.get $names) (i32.const 1)))
                (i32.store (local.get $bucket) (global.get $names)))))

          (i64.store offset=72 (local.get $entry)
            (i64.add (i64.load offset=72 (local.get $entry)) (i64.const 1)))
          (br_if $counted (i32.eqz (i32.load offset=64 (local.get $entry))))
          (i32.store (local.get $record) (i32.sub (local.get $p) (i32.const 262144)))
          (i32.store offset=4 (local.get $record) (i32.sub (local.get $q) (i32.const 262144)))
          (i32.store offset=8 (local.get $record) (i32.sub (local.get $line) (i32.const 262144)))
          (i32.store offset=12 (local.get $record) (global.get $lines))
          (i32.store offset=16 (local.get $record)
            (i32.div_u (i32.sub (local.get $entry) (i32.const 16384)) (i32.const 80)))
          (local.set $record (i32.add (local.get $record) (i32.const 20))))

        (global.set $lines (i32.add (global.get $lines) (i32.const 1)))
        (local.set $p (i32.add (local.get $line) (i32.const 1)))
        (br $next_line)))
    (global.set $found
      (i32.div_u (i32.sub (local.get $record) (i32.const 180224)) (i32.const 20)))
    (local.get $p)))
