;; The bitmap kernel: see bitmap-kernel.ts for what it does, plain-bitmap-kernel.ts for the same in TypeScript.
;;
;; A bitmap is a stretch of the imported memory. Places are byte addresses, multiples of 8; lengths are
;; multiples of 64, so that loops may go 32 or 64 bytes at a time.
(module
  (import "bitmaps" "memory" (memory 1 32768 shared))

  ;; Number of one bits in [p, end).
  (func (export "count") (param $p i32) (param $end i32) (result i32)
    (local $sum i64)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $sum
          (i64.add (local.get $sum)
            (i64.add
              (i64.add
                (i64.popcnt (i64.load (local.get $p)))
                (i64.popcnt (i64.load offset=8 (local.get $p))))
              (i64.add
                (i64.popcnt (i64.load offset=16 (local.get $p)))
                (i64.popcnt (i64.load offset=24 (local.get $p)))))))
        (local.set $p (i32.add (local.get $p) (i32.const 32)))
        (br $next)))
    (i32.wrap_i64 (local.get $sum)))

  ;; Ors [from, from + bytes) into the bitmap at $into, and clears it where $clear says so; returns how many
  ;; bits are new there.
  (func (export "join")
    (param $into i32) (param $from i32) (param $bytes i32) (param $clear i32) (result i32)
    (local $end i32) (local $block i32) (local $sum i64)
    (local $a i64) (local $b i64) (local $w i64) (local $x i64)
    (local.set $end (i32.add (local.get $from) (local.get $bytes)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        ;; A block of 64 bytes; most blocks of most bitmaps are zero.
        (if (i32.eqz
              (v128.any_true
                (v128.or
                  (v128.or (v128.load (local.get $from)) (v128.load offset=16 (local.get $from)))
                  (v128.or (v128.load offset=32 (local.get $from)) (v128.load offset=48 (local.get $from))))))
          (then
            (local.set $from (i32.add (local.get $from) (i32.const 64)))
            (local.set $into (i32.add (local.get $into) (i32.const 64)))
            (br $next)))
        (local.set $block (i32.add (local.get $from) (i32.const 64)))
        (loop $words
          (local.set $a (i64.load (local.get $from)))
          (local.set $b (i64.load offset=8 (local.get $from)))
          (local.set $w (i64.load (local.get $into)))
          (local.set $x (i64.load offset=8 (local.get $into)))
          (if (local.get $clear)
            (then (v128.store (local.get $from) (v128.const i64x2 0 0))))
          (local.set $a (i64.or (local.get $a) (local.get $w)))
          (local.set $b (i64.or (local.get $b) (local.get $x)))
          (i64.store (local.get $into) (local.get $a))
          (i64.store offset=8 (local.get $into) (local.get $b))
          ;; What is new is what the union has more.
          (local.set $sum
            (i64.add (local.get $sum)
              (i64.add
                (i64.popcnt (i64.xor (local.get $a) (local.get $w)))
                (i64.popcnt (i64.xor (local.get $b) (local.get $x))))))
          (local.set $from (i32.add (local.get $from) (i32.const 16)))
          (local.set $into (i32.add (local.get $into) (i32.const 16)))
          (br_if $words (i32.lt_u (local.get $from) (local.get $block))))
        (br $next)))
    (i32.wrap_i64 (local.get $sum)))

  ;; Clears in the bitmap at $from the bits that [mask, mask + bytes) has; returns how many were set.
  (func (export "remove") (param $from i32) (param $mask i32) (param $bytes i32) (result i32)
    (local $end i32) (local $sum i64) (local $a i64) (local $w i64)
    (local.set $end (i32.add (local.get $mask) (local.get $bytes)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $mask) (local.get $end)))
        (local.set $a (i64.load (local.get $mask)))
        (if (i64.ne (local.get $a) (i64.const 0))
          (then
            (local.set $w (i64.load (local.get $from)))
            (local.set $sum
              (i64.add (local.get $sum) (i64.popcnt (i64.and (local.get $a) (local.get $w)))))
            (i64.store (local.get $from)
              (i64.and (local.get $w) (i64.xor (local.get $a) (i64.const -1))))))
        (local.set $from (i32.add (local.get $from) (i32.const 8)))
        (local.set $mask (i32.add (local.get $mask) (i32.const 8)))
        (br $next)))
    (i32.wrap_i64 (local.get $sum)))

  ;; Address of the first 32-bit word in [p, end) that is not $value (0 or -1), else $end.
  (func (export "skip") (param $p i32) (param $end i32) (param $value i32) (result i32)
    (local $v i64)
    (local.set $v (i64.extend_i32_s (local.get $value)))
    (block $found
      ;; Up to a multiple of 32 word by word, then 32 bytes at a time, then word by word again.
      (loop $next
        (br_if $found (i32.ge_u (local.get $p) (local.get $end)))
        (if (i32.eqz (i32.and (local.get $p) (i32.const 31)))
          (then
            (block $near
              (loop $far
                (br_if $near (i32.gt_u (i32.add (local.get $p) (i32.const 32)) (local.get $end)))
                (br_if $near
                  (i64.ne
                    (i64.or
                      (i64.or
                        (i64.xor (i64.load (local.get $p)) (local.get $v))
                        (i64.xor (i64.load offset=8 (local.get $p)) (local.get $v)))
                      (i64.or
                        (i64.xor (i64.load offset=16 (local.get $p)) (local.get $v))
                        (i64.xor (i64.load offset=24 (local.get $p)) (local.get $v))))
                    (i64.const 0)))
                (local.set $p (i32.add (local.get $p) (i32.const 32)))
                (br $far)))
            (br_if $found (i32.ge_u (local.get $p) (local.get $end)))))
        (br_if $found (i32.ne (i32.load (local.get $p)) (local.get $value)))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br $next)))
    (local.get $p))
)
