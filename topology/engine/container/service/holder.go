package service

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"golang.org/x/sync/singleflight"

	"github.com/faultline-sim/faultline/topology/engine/container"
)

// holderImage has one program in it that does nothing for ever: its container holds a network that
// others join, as the pause container of a Kubernetes pod does.
const holderImage = "faultline/holder:1"

// idle is the holder's whole program: a system call that waits for a signal, again and again.
var idle = map[string]struct {
	machine elf.Machine
	code    []byte
}{
	// mov eax, 34 (pause); syscall; jmp to the begin
	"amd64": {elf.EM_X86_64, []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}},
	// x0 to x4 = 0; x8 = 73 (ppoll); svc 0; b to the begin
	"arm64": {elf.EM_AARCH64, words(0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004,
		0xd2800928, 0xd4000001, 0x17fffff9)},
}

func words(all ...uint32) (b []byte) {
	for _, w := range all {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// program is an executable file for a processor.
func program(arch string) ([]byte, error) {
	p, ok := idle[arch]
	if !ok {
		return nil, fmt.Errorf("make a container's network: not known how on %s", arch)
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(p.code))
	head := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB),
			byte(elf.EV_CURRENT)},
		Type: uint16(elf.ET_EXEC), Machine: uint16(p.machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	load := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base,
		Filesz: size, Memsz: size, Align: 0x10000,
	}
	var file bytes.Buffer
	err := errors.Join(binary.Write(&file, binary.LittleEndian, head),
		binary.Write(&file, binary.LittleEndian, load))
	file.Write(p.code)
	return file.Bytes(), err
}

// imports keeps one process from making the image twice at once.
var imports singleflight.Group

// needHolder makes the holder's image where it is not there yet. Nothing is pulled for it.
func needHolder(ctx context.Context, d *container.Docker) error {
	_, err, _ := imports.Do(holderImage, func() (any, error) { return nil, importHolder(ctx, d) })
	return err
}

func importHolder(ctx context.Context, d *container.Docker) error {
	_, err := d.API().ImageInspect(ctx, holderImage)
	if err == nil || !errdefs.IsNotFound(err) {
		return err
	}
	body, err := program(runtime.GOARCH)
	if err != nil {
		return err
	}
	layer, err := layerOf(body)
	if err != nil {
		return err
	}
	r, err := d.API().ImageImport(ctx, client.ImageImportSource{Source: layer, SourceName: "-"},
		holderImage, client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/hold"]`}})
	if err != nil {
		return fmt.Errorf("make image %q: %w", holderImage, err)
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// layerOf is an image's only layer: the program.
func layerOf(body []byte) (io.Reader, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err := w.WriteHeader(&tar.Header{Name: "hold", Mode: 0o555, Size: int64(len(body))})
	if err == nil {
		_, err = w.Write(body)
	}
	return &layer, errors.Join(err, w.Close())
}
