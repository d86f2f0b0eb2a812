/* Search of the book: MiniSearch over the words of its pages, loaded when somebody wants to search. */
(() => {
  const root = document.currentScript.dataset.root;
  const form = document.querySelector('form.search');
  const input = form.querySelector('input');
  const results = document.querySelector('.results');
  let index = null;

  const script = (name) =>
    new Promise((resolve, reject) => {
      const element = document.createElement('script');
      element.src = root + name;
      element.onload = resolve;
      element.onerror = reject;
      document.head.append(element);
    });

  async function load() {
    if (index !== null) return index;
    index = (async () => {
      await script('minisearch.js');
      await script('search-pages.js');
      const search = new window.MiniSearch({
        fields: ['title', 'text'],
        storeFields: ['title', 'section'],
        searchOptions: { boost: { title: 4 }, prefix: true, fuzzy: 0.15, combineWith: 'AND' },
      });
      search.addAll(window.stopcopyPages);
      return search;
    })();
    return index;
  }

  function show(found, words) {
    results.replaceChildren();
    results.hidden = words === '';
    if (words === '') return;
    const list = document.createElement('ul');
    for (const { id, title, section } of found.slice(0, 20)) {
      const item = document.createElement('li');
      const link = document.createElement('a');
      link.href = root + id;
      link.textContent = title;
      const where = document.createElement('small');
      where.textContent = section ?? '';
      item.append(link, ' ', where);
      list.append(item);
    }
    const head = document.createElement('p');
    head.textContent = found.length === 0 ? 'Nothing found.' : `${found.length} found.`;
    results.append(head, list);
  }

  input.addEventListener('focus', load);
  input.addEventListener('input', async () => {
    const words = input.value.trim();
    const search = await load();
    if (words === input.value.trim()) show(words === '' ? [] : search.search(words), words);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    results.querySelector('a')?.click();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && !event.ctrlKey && !event.metaKey && document.activeElement !== input) {
      event.preventDefault();
      input.focus();
    }
    if (event.key === 'Escape') {
      input.value = '';
      show([], '');
    }
  });
})();
