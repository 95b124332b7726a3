/* What firmware and kernel do first: the floating-point unit is set up before there is paging, then
 * come long mode, processor identification, model-specific registers.
 * as --64 probe.S -o probe.o && ld -Ttext 0x7c00 --oformat binary -e start probe.o -o probe.bin
 */
        .code16
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        cld
        finit
        xor     %eax, %eax
        mov     $0x1000, %di
        mov     $0xc00, %cx
        rep stosl
        movw    $0x2003, 0x1000
        movw    $0x3003, 0x2000
        movb    $0x83, 0x3000
        mov     %cr4, %eax
        or      $0x20, %al
        mov     %eax, %cr4
        mov     $0x1000, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $1, %ah
        wrmsr
        lgdt    table
        mov     %cr0, %eax
        or      $0x80000001, %eax
        mov     %eax, %cr0
        ljmp    $8, $long
        .code64
long:   mov     $2000, %esi
again:  xor     %eax, %eax
        cpuid
        dec     %esi
        jnz     again
        mov     $0x1b, %ecx
        rdmsr
        wrmsr
        mov     $0x277, %ecx
        rdmsr
        wrmsr
        mov     $0x10, %al
        out     %al, $0xf4
halt:   hlt
        jmp     halt
        .balign 8
gdt:    .quad   0, 0x00209a0000000000
table:  .word   15
        .long   gdt
