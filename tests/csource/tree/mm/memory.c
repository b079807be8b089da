static bool __wp_can_reuse_large_anon_folio(struct folio *folio, struct vm_area_struct *vma)
{
	return false;
}
