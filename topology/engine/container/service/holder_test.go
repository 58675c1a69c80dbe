package service

import (
	"bytes"
	"debug/elf"
	"testing"
)

func TestHolderIsAProgram(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64,
	} {
		body, err := program(arch)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine || f.Type != elf.ET_EXEC || len(f.Progs) != 1 {
			t.Errorf("%s: machine %v, type %v, %d segments", arch, f.Machine, f.Type, len(f.Progs))
			continue
		}
		code := f.Entry - f.Progs[0].Vaddr
		if got := body[code:]; !bytes.Equal(got, idle[arch].code) {
			t.Errorf("%s: begins at % x, want % x", arch, got, idle[arch].code)
		}
	}
	if _, err := program("pdp11"); err == nil {
		t.Error("it is known how to wait on any machine")
	}
}
