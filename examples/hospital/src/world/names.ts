/**
 * Names for invented people, grouped by where such names are common so that families read as families. The lists are
 * small on purpose: surnames repeat across unrelated households, as they do in towns, and that is what a search by name
 * and a shared-surname check have to live with.
 */
export interface Culture {
  readonly name: string;
  readonly share: number;
  readonly female: readonly string[];
  readonly male: readonly string[];
  readonly family: readonly string[];
}

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const cultures: readonly Culture[] = [
  {
    name: 'english',
    share: 30,
    female: words('Alice Beth Clara Diane Edith Fiona Grace Hazel Ivy June Laura Martha Nora Pamela Rose Susan'),
    male: words('Adam Brian Colin Derek Edwin Frank Gavin Harry Keith Leonard Martin Neil Oscar Peter Roger Stuart'),
    family: words(
      "Ashdown Barrow Cartwell Dunmore Eastlake Fairbrook Greaves Hartwood Kestrel Larkin Marlowe Northcott O'Dell Pemberly Quill Redfern Stanmore Thorley Underhill Wickham",
    ),
  },
  {
    name: 'hispanic',
    share: 18,
    female: words('Ana Beatriz Camila Dolores Elena Inés Lucía Marisol Noemí Paloma Raquel Ximena'),
    male: words('Andrés Bruno Diego Emilio Gael Héctor Iván Joaquín Mateo Rafael Tomás Víctor'),
    family: words(
      'Aguilera Barrientos Castañeda Dávila Escobedo Figueroa Galindo Ibarra Luján Montalvo Núñez Peralta Quiroga Villaseñor',
    ),
  },
  {
    name: 'west-african',
    share: 11,
    female: words('Abena Adaeze Amara Chioma Efua Folake Ifeoma Kemi Ngozi Yetunde'),
    male: words('Babatunde Chidi Ekow Emeka Kofi Kwame Obinna Sekou Tunde Yaw'),
    family: words('Adeyemi Agyeman Balogun Danso Ekwueme Mensah Nwosu Okafor Owusu Sankara'),
  },
  {
    name: 'south-asian',
    share: 11,
    female: words('Anjali Deepa Farida Kavya Lakshmi Meera Nandini Priya Sunita Zainab'),
    male: words('Arjun Bilal Dev Farhan Imran Karthik Manoj Nikhil Rohan Suresh'),
    family: words('Banerjee Chaudhary Desai Iyer Kapoor Malik Nair Qureshi Rahman Sethi'),
  },
  {
    name: 'east-asian',
    share: 10,
    female: words('Haruka Jia Lan Mei Minji Naoko Seo-yeon Thảo Xiulan Yuki'),
    male: words('Bao Daiki Hiroshi Jun Kenji Liang Minh Seung Tuan Wei'),
    family: words('Chen Fujimoto Hoang Kang Liu Nakagawa Nguyễn Park Tanabe Zhao'),
  },
  {
    name: 'slavic',
    share: 8,
    female: words('Agnieszka Danuta Irina Katarzyna Ludmila Milena Olena Svetlana Wanda Zofia'),
    male: words('Andrzej Bohdan Dmitri Jakub Kazimierz Luka Miroslav Pavel Stanisław Viktor'),
    family: words('Bielak Dvořák Horvat Jankowski Kovalenko Lisowski Marković Petrenko Sokol Zieliński'),
  },
  {
    name: 'arabic-persian',
    share: 7,
    female: words('Amina Dalia Fatima Hanan Layla Mahsa Noor Rania Shirin Yasmin'),
    male: words('Ahmad Bashir Dariush Faisal Hamid Karim Nabil Omid Samir Tariq'),
    family: words('Abbasi Farouk Ghorbani Haddad Khalil Mansour Najjar Rahimi Saleh Tehrani'),
  },
  {
    name: 'germanic-nordic',
    share: 5,
    female: words('Astrid Birgit Greta Heike Ingrid Karin Liv Maren Sigrid Ulrike'),
    male: words('Anders Bjørn Dieter Erik Gunnar Jürgen Lars Mats Rolf Stefan'),
    family: words('Bergstrøm Dahlgren Eichner Falkenberg Hansen Lindqvist Möller Nygård Steinbach Vogel'),
  },
];

const letters: Record<string, string> = { ł: 'l', Ł: 'L', ø: 'o', Ø: 'O', đ: 'd', Đ: 'D', ß: 'ss', æ: 'ae' };

/** A name in lower-case ASCII letters, for usernames and mail addresses: `Bergstrøm` → `bergstrom`. */
export function asciiName(name: string): string {
  return name
    .replace(/[łŁøØđĐßæ]/g, (letter) => letters[letter] ?? '')
    .normalize('NFD')
    .replace(/[^A-Za-z]/g, '')
    .toLowerCase();
}
