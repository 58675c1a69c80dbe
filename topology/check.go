package topology

func (d *decoder) check()      {}
func (d *decoder) checkPaths() {}
