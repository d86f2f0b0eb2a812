;; The checksum kernel: see checksum.ts for what it does, and for the same in TypeScript.
;;
;; The sixteen lanes stand at address 0; [p, end) is a multiple of 64 bytes long.
(module
  (memory (export "memory") 5)

  (func (export "mix") (param $p i32) (param $end i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $prime v128)
    (local.set $prime (i32x4.splat (i32.const 0x9e3779b1)))
    (local.set $a (v128.load (i32.const 0)))
    (local.set $b (v128.load (i32.const 16)))
    (local.set $c (v128.load (i32.const 32)))
    (local.set $d (v128.load (i32.const 48)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $a (v128.xor (local.get $a) (v128.load (local.get $p))))
        (local.set $b (v128.xor (local.get $b) (v128.load offset=16 (local.get $p))))
        (local.set $c (v128.xor (local.get $c) (v128.load offset=32 (local.get $p))))
        (local.set $d (v128.xor (local.get $d) (v128.load offset=48 (local.get $p))))
        ;; Rotated left by 13, and multiplied.
        (local.set $a
          (i32x4.mul
            (v128.or
              (i32x4.shl (local.get $a) (i32.const 13))
              (i32x4.shr_u (local.get $a) (i32.const 19)))
            (local.get $prime)))
        (local.set $b
          (i32x4.mul
            (v128.or
              (i32x4.shl (local.get $b) (i32.const 13))
              (i32x4.shr_u (local.get $b) (i32.const 19)))
            (local.get $prime)))
        (local.set $c
          (i32x4.mul
            (v128.or
              (i32x4.shl (local.get $c) (i32.const 13))
              (i32x4.shr_u (local.get $c) (i32.const 19)))
            (local.get $prime)))
        (local.set $d
          (i32x4.mul
            (v128.or
              (i32x4.shl (local.get $d) (i32.const 13))
              (i32x4.shr_u (local.get $d) (i32.const 19)))
            (local.get $prime)))
        (local.set $p (i32.add (local.get $p) (i32.const 64)))
        (br $next)))
    (v128.store (i32.const 0) (local.get $a))
    (v128.store (i32.const 16) (local.get $b))
    (v128.store (i32.const 32) (local.get $c))
    (v128.store (i32.const 48) (local.get $d))))
