//! The program that runs in the guest: it executes page writes from a ring at their times.
//!
//! It needs no firmware, kernel or loader. The processor starts in the last 16 bytes of the ROM, goes
//! to long mode with the page tables that the host has laid in memory, and on to the program at
//! [`super::layout::PROGRAM`]. The program sleeps until the next write is due by the time stamp counter,
//! for at least a quantum, so that the guest takes little of a CPU that others need; executes all that
//! is due; and counts what it did and how late it was.
//!
//! The text below is assembled when this crate is built, and copied into guests' memory as data.

use std::arch::global_asm;

use super::layout::{
    HISTOGRAM, IDT, PAGE_TABLES, PARAMETERS, PROGRAM, RING, RING_ENTRIES, STACK_TOP, STATUS,
};

/// Size of the ROM image; QEMU takes whole multiples of 64 KiB.
const ROM_LEN: usize = 64 << 10;
/// The ROM's code stands in its last bytes, of which the last 16 are where the processor starts.
const ROM_CODE_LEN: usize = 256;
/// Vector of the local APIC's timer.
const TIMER_VECTOR: usize = 0x20;

global_asm!(
    r#"
    .pushsection .rodata.migtax_guest, "a", @progbits
    .balign 16
    .code16
    .globl migtax_guest_rom
    .hidden migtax_guest_rom
migtax_guest_rom:
10: cli
    lgdtl %cs:(12f - 10b + 0xff00)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    # A far jump to selector 8; written out, since its target is a difference of labels.
    .byte 0x66, 0xea
    .long 11f - 10b + 0xffffff00
    .word 8
    .code32
11: movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl ${page_tables}, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9fffffff, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $0x18, ${program}
    .balign 8
    # Flat segments, marked as accessed: the processor can't mark them in a ROM.
13: .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00af9b000000ffff
12: .word 31
    .long 13b - 10b + 0xffffff00
    .org migtax_guest_rom + 0xf0
    .code16
    jmp 10b
    .org migtax_guest_rom + 0x100

    .balign 16
    .code64
    .globl migtax_guest_program
    .hidden migtax_guest_program
migtax_guest_program:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl ${stack_top}, %esp
    lidt 29f(%rip)
    # No interrupts but the local APIC's timer: one shot, undivided.
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1
    movl $0xfee00000, %r15d
    movl $0x1ff, 0xf0(%r15)
    movl $0xb, 0x3e0(%r15)
    movl ${timer_vector}, 0x320(%r15)
    movl ${parameters}, %ebx
    movl ${status}, %ebp
    xorl %r12d, %r12d
    movq $1, 16(%rbp)
    jmp 21f

    # For good, between two writes: interrupts are off.
20: movq $2, 16(%rbp)
    hlt
    jmp 20b

    # r12: writes executed. Is the guest to halt, is there another write, and is it due?
21: movq %r12, (%rbp)
    cmpq $0, 8(%rbx)
    je 20b
    movl $0, %edx
    cmpq (%rbx), %r12
    je 27f
    movl %r12d, %ecx
    andl ${ring_mask}, %ecx
    leaq (%rcx, %rcx, 2), %rcx
    leaq {ring}(, %rcx, 8), %rcx
    movq (%rcx), %r8
22: rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %r8, %rdx
    subq %rax, %rdx
    ja 27f

    # How late, in ticks: buckets of 1 up to 16, then 16 to a power of two.
    negq %rdx
    movq %rdx, %rax
    movq 8(%rcx), %r9
    movq 16(%rcx), %r10
    cmpq $16, %rax
    jb 23f
    bsrq %rax, %rcx
    subl $4, %ecx
    shrq %cl, %rax
    shll $4, %ecx
    addq %rcx, %rax
23: incq {histogram}(, %rax, 8)

    # An even address: one word. An odd one: the page that begins before it.
    testb $1, %r9b
    jnz 24f
    xorq %r10, (%r9)
    jmp 26f
24: decq %r9
    movabsq $0x9e3779b97f4a7c15, %r13
    movabsq $0xbf58476d1ce4e5b9, %r14
    movabsq $0x94d049bb133111eb, %r11
    movl $512, %ecx
    movl $1, %edi
25: addq %r13, %r10
    movq %r10, %rax
    shrq $30, %rax
    xorq %r10, %rax
    imulq %r14, %rax
    movq %rax, %rdx
    shrq $27, %rdx
    xorq %rdx, %rax
    imulq %r11, %rax
    movq %rax, %rdx
    shrq $31, %rdx
    xorq %rdx, %rax
    orq %rdi, %rax
    xorl %edi, %edi
    xorq %rax, (%r9)
    addq $8, %r9
    decl %ecx
    jnz 25b
26: incq %r12
    jmp 21b

    # Sleep for rdx ticks, between the shortest and the longest sleep.
27: cmpq 16(%rbx), %rdx
    cmovbq 16(%rbx), %rdx
    cmpq 24(%rbx), %rdx
    cmovaq 24(%rbx), %rdx
    movq %rdx, %rax
    mulq 32(%rbx)
    shrdq $32, %rdx, %rax
    orl $1, %eax
    movl %eax, 0x380(%r15)
    sti
    hlt
    cli
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, 8(%rbp)
    jmp 21b

    .globl migtax_guest_timer
    .hidden migtax_guest_timer
migtax_guest_timer:
    movl $0, 0xb0(%r15)
    iretq
29: .word 0xfff
    .quad {idt}
    .globl migtax_guest_end
    .hidden migtax_guest_end
migtax_guest_end:
    .popsection
"#,
    page_tables = const PAGE_TABLES,
    program = const PROGRAM,
    stack_top = const STACK_TOP,
    timer_vector = const TIMER_VECTOR,
    parameters = const PARAMETERS,
    status = const STATUS,
    ring = const RING,
    ring_mask = const RING_ENTRIES - 1,
    histogram = const HISTOGRAM,
    idt = const IDT,
    options(att_syntax)
);

unsafe extern "C" {
    static migtax_guest_rom: u8;
    static migtax_guest_program: u8;
    static migtax_guest_timer: u8;
    static migtax_guest_end: u8;
}

/// The bytes from one label of the text above to a later one.
fn between(from: *const u8, to: *const u8) -> &'static [u8] {
    let len = to as usize - from as usize;
    // SAFETY: both are labels of the one read-only section above, `from` before `to`, so that the bytes
    // between them are part of this program and never change.
    unsafe { std::slice::from_raw_parts(from, len) }
}

/// The ROM that QEMU maps below 4 GiB (`-bios`).
pub fn rom() -> Vec<u8> {
    let from = &raw const migtax_guest_rom;
    let code = between(from, from.wrapping_add(ROM_CODE_LEN));
    let mut image = vec![0xf4; ROM_LEN - ROM_CODE_LEN]; // hlt
    image.extend_from_slice(code);
    image
}

/// The program, to be copied to [`PROGRAM`].
pub fn program() -> &'static [u8] {
    between(&raw const migtax_guest_program, &raw const migtax_guest_end)
}

/// The interrupt descriptor table, to be copied to [`IDT`]: one interrupt gate, the timer's (Intel SDM
/// volume 3, "64-Bit Mode IDT"). Any other interrupt or exception shuts the machine down.
pub fn interrupt_table() -> Vec<u8> {
    const INTERRUPT_GATE: u64 = 0x8e00;
    const CODE_SEGMENT: u64 = 0x18;
    let timer = &raw const migtax_guest_timer;
    let handler = between(&raw const migtax_guest_program, timer).len() as u64 + PROGRAM;
    let low = (handler & 0xffff)
        | (CODE_SEGMENT << 16)
        | (INTERRUPT_GATE << 32)
        | ((handler >> 16 & 0xffff) << 48);
    let mut table = vec![0; 16 * TIMER_VECTOR];
    table.extend_from_slice(&low.to_le_bytes());
    table.extend_from_slice(&(handler >> 32).to_le_bytes());
    table
}
